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
