"""Puts what was measured into the documents, between markers."""

import os
import re

import chart
import markdown
import report


def between(text, name, content):
    """Replaces what stands between the markers of this name."""
    pattern = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- /bench: {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"bench: there is no marker {name}")
    return pattern.sub(lambda found: found.group(1) + content + "\n" + found.group(2), text)


def rewrite(path, changes):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, content in changes.items():
        text = between(text, name, content)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def all_kept(results, names, libraries):
    """For each name what was kept of it, by TLS library."""
    kept = {}
    for name in names:
        by_library = {tls: report.kept(os.path.join(results, tls), name) for tls in libraries}
        by_library = {tls: shown for tls, shown in by_library.items() if shown}
        if by_library:
            kept[name] = by_library
    return kept


def write(root, results, names, tried, libraries):
    """The table of the ends goes to the head of README.md, all of it to benches/README.md, and the charts beside that."""
    kept = all_kept(results, names, libraries)
    if not kept:
        raise SystemExit("bench: nothing was measured yet, so there is nothing to write")
    charts = os.path.join(root, "benches", "charts")
    os.makedirs(charts, exist_ok=True)
    sections, goals = [], {}
    for name, by_library in kept.items():
        sections.append(section(name, by_library, charts))
        for tls, shown in by_library.items():
            goals.setdefault(tls, []).extend(shown.goals)
    changes = {
        "machine": machine(kept),
        "goals": markdown.goals({tls: goals[tls] for tls in libraries if tls in goals}),
        "tables": "\n\n".join(sections),
    }
    for name, by_library in all_kept(results, tried, libraries).items():
        changes[name] = plain(by_library)
    if "keepalive" in kept:
        changes["http-cost"] = markdown.http_cost(kept["keepalive"])
    rewrite(os.path.join(root, "benches", "README.md"), changes)
    if "ends" in kept:
        ends = next(iter(kept["ends"].values()))
        made = f"{ends.title}; made by `script/bench --only ends --write` on {ends.machine['date']}. [All tables, and how to read them](benches/README.md)."
        picture = f"![{ends.title}](benches/charts/ends.svg)"
        rewrite(os.path.join(root, "README.md"), {"ends": f"{markdown.table({'system': ends})}\n\n{picture}\n\n{made}"})


def section(name, by_library, charts):
    first = next(iter(by_library.values()))
    svg = chart.draw(first)
    if svg:
        with open(os.path.join(charts, name + ".svg"), "w", encoding="utf-8") as file:
            file.write(svg)
    picture = f"\n\n![{first.title}](charts/{name}.svg)" if svg else ""
    return f"### {name}: {first.title}\n\n{plain(by_library)}{picture}"


def plain(by_library):
    """A table, with what it is and when it was made."""
    notes = dict.fromkeys(note for shown in by_library.values() for note in shown.notes)
    first = next(iter(by_library.values()))
    return f"{first.unit}; {made(by_library)}.\n\n{markdown.table(by_library)}" + "".join(f"\n\n{note}" for note in notes)


def made(by_library):
    """When, and by which runs: once, if it is the same for all."""
    told = {tls: f"{shown.machine['date']}, {shown.machine['runs']} runs" for tls, shown in by_library.items()}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{report.LIBRARIES[tls]}: {when}" for tls, when in told.items())


def machine(kept):
    first = next(iter(next(iter(kept.values())).values())).machine
    lines = [f"- {name}: {value}" for name, value in first.items() if name not in ("date", "runs", "tls")]
    versions = {tls: shown.machine["tls"] for by_library in kept.values() for tls, shown in by_library.items()}
    lines += [f"- {report.LIBRARIES[tls]}: {version}" for tls, version in versions.items()]
    return "\n".join(lines)
