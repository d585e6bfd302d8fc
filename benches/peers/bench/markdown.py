"""Tables and goals as the documents have them: medians, and ratios; a column for each TLS library that was measured. The JSON has the rest."""

import re

from report import LIBRARIES, number


def table(by_library):
    first = next(iter(by_library.values()))
    if first.shares:
        return shares(by_library)
    return one_library(first) if len(by_library) == 1 else libraries(by_library)


def grid(heads, lines):
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(rows + ["| " + " | ".join(line) + " |" for line in lines])


def one_library(shown):
    columns = [column for column in shown.columns if any((row, column) in shown.cells for row in shown.rows)]
    return grid(["", *columns], [[label(row), *(figure(shown, row, column) for column in columns)] for row in shown.rows])


def libraries(by_library):
    """The libraries beside each other; where there is more than one figure, a part of the table for each."""
    columns = list(dict.fromkeys(column for shown in by_library.values() for column in shown.columns))
    rows = list(dict.fromkeys(row for shown in by_library.values() for row in shown.rows))
    lines = []
    for column in columns:
        there = [row for row in rows if any((row, column) in shown.cells for shown in by_library.values())]
        if there and len(columns) > 1 and len(rows) > 1:
            lines.append([f"*{column}*", *[""] * len(by_library)])
        for row in there:
            name = label(row) if len(rows) > 1 else column
            lines.append([name, *(figure(shown, row, column) for shown in by_library.values())])
    return grid(["", *heads(by_library)], lines)


def heads(by_library):
    """Each library with its version, where that is known."""
    told = {"system": "the system's OpenSSL", "vendored": "vendored OpenSSL", "aws-lc": "AWS-LC"}
    versions = {tls: re.search(r"\d+\.\d[\w.]*", shown.machine["tls"]) for tls, shown in by_library.items()}
    return [f"{told[tls]} {version.group() if version else ''}".strip() for tls, version in versions.items()]


def label(row):
    return f"**{row}**" if row.startswith("exeunt") else row


def figure(shown, row, column):
    cell = shown.cells.get((row, column))
    if not cell:
        return "–" if row in shown.rows else ""
    # What is to be so in every run is told as it was in the worst.
    if "clean" in column:
        return number(cell["min"], shown.digits)
    told = number(cell["median"], shown.digits)
    if shown.rows[row] not in (None, row) and cell["ratio"]:
        told += f" ×{cell['ratio']:.2f}"
    return told


def shares(by_library):
    (first, shown), *others = by_library.items()
    lines = []
    for row in shown.rows:
        line = [label(row), *shares_of(shown, row)]
        for _, other in others:
            line.append(" / ".join(shares_of(other, row)) if row in other.rows else "")
        lines.append(line)
    columns = [f"{head}: both" for head in heads(dict(others))]
    return grid(["client, and how its program ends", *shown.columns, *columns], lines)


def shares_of(shown, row):
    """As they were in the worst run."""
    cells = [shown.cells[row, column] for column in shown.columns]
    # Where there was no close_notify, there was nothing to answer.
    return [share(cells[0]["min"]), *("–" if cells[0]["max"] == 0 else share(cell["min"]) for cell in cells[1:])]


def share(value):
    return f"{value:.0f} %" if value in (0, 100) else f"{value:.1f} %"


SAID = {True: "met", False: "**missed**", None: "not measured"}


def goals(by_library):
    """`by_library`: the goals of each."""
    names = list(dict.fromkeys(goal["name"] for goals in by_library.values() for goal in goals))
    found = {tls: {goal["name"]: goal for goal in goals} for tls, goals in by_library.items()}
    lines = []
    for name in names:
        mine = {tls: goals[name] for tls, goals in found.items() if name in goals}
        wanted = list(dict.fromkeys(goal["wanted"] for goal in mine.values()))
        told = wanted[0]
        if len(wanted) > 1:
            told += "; " + ", ".join(f"{LIBRARIES[tls]}: {goal['wanted']}" for tls, goal in mine.items() if goal["wanted"] != wanted[0])
        cells = [result(mine[tls]) if tls in mine else "" for tls in found]
        lines.append([f"`{name}`", next(iter(mine.values()))["what"], told, *cells])
    return grid(["goal", "what", "wanted", *(LIBRARIES[tls] for tls in found)], lines)


def result(goal):
    return "not measured" if goal["met"] is None else f"{goal['measured']} {SAID[goal['met']]}"


def http_cost(by_library):
    """How much of HTTP's cost above the limit is hyper's own, of the keep-alive table."""
    steps = [
        ("the limit, `raw-http`", None, "raw-http"),
        ("hyper's own: `hyper-tuned` above it", "raw-http", "hyper-tuned"),
        ("the session's: `exeunt-http` above that", "hyper-tuned", "exeunt-http"),
        ("the request builder's: `exeunt-get` above that", "exeunt-http", "exeunt-get"),
    ]
    lines = []
    for name, below, above in steps:
        line = [name]
        for shown in by_library.values():
            cells = [shown.cells.get((row, "64: CPU")) if row else {"median": 0} for row in (below, above)]
            line.append(number(cells[1]["median"] - cells[0]["median"], 2) if all(cells) else "–")
        lines.append(line)
    return grid(["", *heads(by_library)], lines)
