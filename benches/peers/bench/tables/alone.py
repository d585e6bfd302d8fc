"""Tables of what no other client has: their rows are sizes."""

from .table import Table, alternate


def sizes(bench, name, title, unit, digits, columns, plays):
    """`plays`: label, scene, options, and the figure of each column."""
    table = Table(name, title, unit, columns, {label: label for label, *_ in plays}, digits=digits)
    return table, [
        bench.play(table, "exeunt", scene, figures, scene, row=label, **options) for label, scene, options, figures in plays
    ]


def pipes(bench):
    """Many connections over pipes in memory, in one process."""
    many = bench.size(100_000, 5_000)
    figures = {
        "rows": "rows",
        "close_notify both ways": "close_notify_both_ways",
        "admit and use, s": "admitted_and_used_s",
        "stop, s": "stopped_s",
        "stop, µs of CPU each": "stop_cpu_us_each",
        "idle, MB": "resident_mb",
        "peak, MB": "peak_mb",
    }
    title = f"{many:,} connections over pipes in one process, both ends of each"
    play = (f"{many:,} connections", "pipes", {"connections": many}, figures)
    table, plays = sizes(bench, "pipes", title, "as the columns say", 0, list(figures), [play])
    table.charted = []
    alternate(1, plays)
    return table


def supervisor(bench):
    """Admission and `Lost`, beside so many children that live."""
    title = "A child's whole life without a byte: message, admission, actor, end, `Lost`"
    requests = bench.size(40_000, 10_000)
    plays = [
        (f"{many:,} alive", "supervisor", {"connections": many, "requests": requests}, {"ns": "cpu_ns"})
        for many in (100, 1_000, 10_000, 100_000)
    ]
    table, plays = sizes(bench, "supervisor", title, "ns of CPU", 0, ["ns"], plays)
    alternate(bench.rounds(15, 9), plays)
    return table


def workers(bench):
    """Callers on the workers' own threads."""
    title = "Calls by callers on the workers' own threads, 64 at a time"
    options = {"connections": 64, "requests": bench.size(60_000, 20_000), "everywhere": True}
    figures = {"CPU a request": "cpu_us", "threads": "threads"}
    plays = [(f"workers({many})", "workers", options | {"workers": many}, figures) for many in (1, 2)]
    table, plays = sizes(bench, "workers", title, "µs of CPU, all threads", 2, list(figures), plays)
    table.charted = ["CPU a request"]
    table.notes.append("The client may use both cores here, one of which is the server's.")
    alternate(bench.rounds(7), plays)
    return table
