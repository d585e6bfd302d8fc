"""Tables as text, as JSON and as Markdown."""

import json
import os


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def as_data(table, machine, verdicts):
    """All that was measured, for whoever wants to draw other conclusions."""
    cells = [
        {
            "row": row,
            "column": column,
            "min": min(cell.samples),
            "median": cell.median,
            "max": max(cell.samples),
            "ratio": table.ratio(row, column),
            "samples": cell.samples,
        }
        for (row, column), cell in table.cells.items()
    ]
    return {
        "name": table.name,
        "title": table.title,
        "unit": table.unit,
        "columns": table.columns,
        "charted": table.charted,
        "rows": table.rows,
        "shares": table.shares,
        "digits": table.digits,
        "notes": table.notes,
        "cells": cells,
        "goals": [vars(verdict) for verdict in verdicts],
        "machine": machine,
    }


class Shown:
    """A table as it was kept."""

    def __init__(self, data):
        self.data = data
        self.cells = {(cell["row"], cell["column"]): cell for cell in data["cells"]}

    def __getattr__(self, name):
        return self.data[name]

    def width(self):
        return max([len(row) for row in self.rows] + [10])


def text(shown):
    """For a terminal: minimum, median and maximum, and the ratio of the medians to the limit."""
    lines = [f"\n{shown.title} ({shown.unit})"]
    lines.append(f"{'':{shown.width()}}  {'column':30} {'min':>10} {'median':>10} {'max':>10} {'ratio':>7}")
    for row, limit in shown.rows.items():
        label = row
        for column in shown.columns:
            cell = shown.cells.get((row, column))
            if not cell:
                continue
            ratio = f"{cell['ratio']:.2f}" if limit and limit != row and cell["ratio"] else ""
            figures = " ".join(f"{number(cell[of], shown.digits):>10}" for of in ("min", "median", "max"))
            lines.append(f"{label:{shown.width()}}  {column:30} {figures} {ratio:>7}")
            label = ""
    lines += [f"  {note}" for note in shown.notes]
    return "\n".join(lines)


def goals_text(goals):
    said = {True: "met", False: "MISSED", None: "not measured"}
    width = max(len(goal["name"]) for goal in goals)
    return "\n".join(
        f"  {said[goal['met']]:12} {goal['name']:{width}}  {goal['measured']:>12}, wanted {goal['wanted']}: {goal['what']}"
        for goal in goals
    )


LIBRARIES = {"system": "the system's OpenSSL", "vendored": "OpenSSL from source", "aws-lc": "AWS-LC"}


def markdown(shown_by_tls):
    """For the documents: medians with their range, and ratios; a block of columns for each TLS library."""
    first = next(iter(shown_by_tls.values()))
    if first.shares:
        return shares_markdown(first)
    several = len(shown_by_tls) > 1
    heads, keys = [], []
    for tls, shown in shown_by_tls.items():
        for column in shown.columns:
            if any((row, column) in shown.cells for row in shown.rows):
                heads.append(f"{column}, {LIBRARIES[tls]}" if several else column)
                keys.append((tls, column))
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    rows = {row: None for shown in shown_by_tls.values() for row in shown.rows}
    for row in rows:
        cells = [markdown_cell(shown_by_tls[tls], row, column) for tls, column in keys]
        name = f"**{row}**" if row.startswith("exeunt") else row
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown_cell(shown, row, column):
    cell = shown.cells.get((row, column))
    if not cell:
        return "–"
    told = number(cell["median"], shown.digits)
    if cell["min"] != cell["max"]:
        told += f" ({number(cell['min'], shown.digits)} to {number(cell['max'], shown.digits)})"
    if shown.rows[row] not in (None, row) and cell["ratio"] and "clean" not in column:
        told += f" ×{cell['ratio']:.2f}"
    return told


def shares_markdown(shown):
    lines = ["| client, and how its program ends | " + " | ".join(shown.columns) + " |", "|---|" + "---|" * len(shown.columns)]
    for row in shown.rows:
        told = []
        for at, column in enumerate(shown.columns):
            cell = shown.cells.get((row, column))
            # Where there was no close_notify, there was nothing to answer.
            nothing = at > 0 and shown.cells[row, shown.columns[0]]["max"] == 0
            told.append("–" if nothing else share(cell["min"]))
        name = f"**{row}**" if row.startswith("exeunt") else row
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def share(value):
    return f"{value:.0f} %" if value in (0, 100) else f"{value:.1f} %"


def goals_markdown(goals):
    lines = ["| goal | what | wanted | measured | |", "|---|---|---|---|---|"]
    said = {True: "met", False: "**missed**", None: "not measured"}
    for goal in goals:
        lines.append(f"| `{goal['name']}` | {goal['what']} | {goal['wanted']} | {goal['measured']} | {said[goal['met']]} |")
    return "\n".join(lines)


def keep(folder, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, data["name"] + ".json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)


def kept(folder, name):
    try:
        with open(os.path.join(folder, name + ".json"), encoding="utf-8") as file:
            return Shown(json.load(file))
    except FileNotFoundError:
        return None
