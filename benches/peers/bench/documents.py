"""Puts what was measured into the documents, between markers."""

import os
import re

import chart
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


def write(root, results, names, libraries):
    """The table of the ends goes to the head of README.md, all of it to benches/README.md, and the charts beside that."""
    shown = {}
    for name in names:
        by_tls = {tls: report.kept(os.path.join(results, tls), name) for tls in libraries}
        by_tls = {tls: one for tls, one in by_tls.items() if one}
        if by_tls:
            shown[name] = by_tls
    if not shown:
        raise SystemExit("bench: nothing was measured yet, so there is nothing to write")
    charts = os.path.join(root, "benches", "charts")
    os.makedirs(charts, exist_ok=True)
    sections, goals = [], []
    several = any(len(by_tls) > 1 for by_tls in shown.values())
    for name, by_tls in shown.items():
        first = next(iter(by_tls.values()))
        svg = chart.draw(first)
        if svg:
            with open(os.path.join(charts, name + ".svg"), "w", encoding="utf-8") as file:
                file.write(svg)
        notes = "".join(f"\n\n{note}" for note in first.notes)
        picture = f"\n\n![{first.title}](charts/{name}.svg)" if svg else ""
        sections.append(f"### {name}: {first.title}\n\n{first.unit}; {first.machine['date']}, {first.machine['runs']} runs.\n\n{report.markdown(by_tls)}{notes}{picture}")
        for tls, one in by_tls.items():
            goals += [goal | {"what": f"{goal['what']} ({report.LIBRARIES[tls]})"} if several else goal for goal in one.goals]
    machine = next(iter(next(iter(shown.values())).values())).machine
    rewrite(
        os.path.join(root, "benches", "README.md"),
        {"machine": told(machine, libraries, shown), "goals": report.goals_markdown(goals), "tables": "\n\n".join(sections)},
    )
    if "ends" in shown:
        ends = next(iter(shown["ends"].values()))
        made = f"{ends.title}; made by `script/bench --only ends --write` on {ends.machine['date']}. [All tables, and how to read them](benches/README.md)."
        picture = f"![{ends.title}](benches/charts/ends.svg)"
        rewrite(os.path.join(root, "README.md"), {"ends": f"{report.markdown({'system': ends})}\n\n{picture}\n\n{made}"})


def told(machine, libraries, shown):
    lines = [f"- {name}: {value}" for name, value in machine.items() if name not in ("date", "runs", "tls")]
    versions = {}
    for by_tls in shown.values():
        for tls, one in by_tls.items():
            versions[report.LIBRARIES[tls]] = one.machine["tls"]
    lines += [f"- {library}: {version}" for library, version in versions.items()]
    return "\n".join(lines)
