"""A bar chart as SVG: a group of bars for each row, the median as the bar and the range as a line. Legible on light and dark ground."""

from html import escape

ROW, GAP, LABEL, PLOT, RIGHT = 16, 10, 350, 420, 110

# Ours, and what is not. Two columns at most are told apart by strength.
OURS, LIMIT, OTHERS = "#c2410c", "#0f766e", "#64748b"


def colour(row, limits):
    return OURS if row.startswith("exeunt") else LIMIT if row in limits else OTHERS


def draw(shown):
    columns = shown.charted if shown.charted is not None else shown.columns
    rows = [row for row in shown.rows if any((row, column) in shown.cells for column in columns)]
    if not columns or not rows:
        return None
    most = max(shown.cells[row, column]["max"] for row in rows for column in columns if (row, column) in shown.cells)
    # One slow client must not make all others look alike.
    medians = sorted(cell["median"] for (row, column), cell in shown.cells.items() if column in columns)
    cut = most if shown.shares else min(most, 4 * medians[len(medians) // 2])
    cut = cut or 1
    limits = set(shown.rows.values())
    parts, y = [], 56
    for row in rows:
        parts.append(f'<text x="{LABEL - 8}" y="{y + ROW * len(columns) / 2 + 4}" text-anchor="end">{escape(row.replace("`", ""))}</text>')
        for at, column in enumerate(columns):
            cell = shown.cells.get((row, column))
            if cell:
                parts.append(bar(shown, cell, y + at * ROW, colour(row, limits), at, cut))
        y += ROW * len(columns) + GAP
    width = LABEL + PLOT + RIGHT
    legend = "" if len(columns) == 1 else "; from above: " + ", ".join(columns)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 8}" viewBox="0 0 {width} {y + 8}" role="img">',
            f"<title>{escape(shown.title)}</title>",
            "<style>text{font:13px system-ui,sans-serif;fill:#1e293b}.small{font-size:11px;fill:#64748b}"
            "@media(prefers-color-scheme:dark){text{fill:#e2e8f0}.small{fill:#94a3b8}}</style>",
            f'<text x="8" y="20" font-weight="600">{escape(shown.title)}</text>',
            f'<text x="8" y="38" class="small">{escape(shown.unit + (legend if len(columns) > 1 else ": " + columns[0]))}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def bar(shown, cell, y, fill, at, cut):
    def scale(value):
        return LABEL + PLOT * min(value, cut) / cut

    end = scale(cell["median"])
    told = f"{cell['median']:,.{shown.digits}f}" + (" %" if shown.shares else "")
    # A bar that is cut says so.
    beyond = " →" if cell["median"] > cut else ""
    strength = 1 if at == 0 else 0.55
    return (
        f'<rect x="{LABEL}" y="{y + 1}" width="{max(end - LABEL, 1):.1f}" height="{ROW - 3}" fill="{fill}" opacity="{strength}"/>'
        f'<line x1="{scale(cell["min"]):.1f}" x2="{scale(cell["max"]):.1f}" y1="{y + ROW / 2 - 0.5}" y2="{y + ROW / 2 - 0.5}" stroke="#94a3b8" stroke-width="2"/>'
        f'<text x="{max(end, scale(cell["max"])) + 6:.1f}" y="{y + 12}" class="small">{told}{beyond}</text>'
    )
