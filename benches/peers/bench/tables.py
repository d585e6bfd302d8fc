"""The tables: what is run for each, in alternating runs, and what its figures are called."""

import statistics
from dataclasses import dataclass, field

from processes import Failed, say


@dataclass
class Cell:
    """The samples of one client in one column."""

    samples: list = field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.samples) if self.samples else None


@dataclass
class Table:
    name: str
    title: str
    unit: str
    columns: list
    # The label of each row, and the row that is its limit.
    rows: dict
    cells: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    # Columns that the chart shows.
    charted: list = None
    # Whether more is better: then no ratio is a cost.
    shares: bool = False
    digits: int = 2

    def add(self, row, column, value):
        if value is not None:
            self.cells.setdefault((row, column), Cell()).samples.append(value)

    def median(self, row, column):
        cell = self.cells.get((row, column))
        return cell.median if cell else None

    def ratio(self, row, column, to=None, to_column=None):
        """The ratio of the medians, to the row's limit or to another cell."""
        here = self.median(row, column)
        there = self.median(to or self.rows.get(row) or row, to_column or column)
        return here / there if here is not None and there else None


def alternate(rounds, plays):
    """Every play once a round; each round begins with another, so that none always follows the same."""
    for number in range(rounds if plays else 0):
        shift = number * max(1, len(plays) // rounds)
        for play in plays[shift % len(plays) :] + plays[: shift % len(plays)]:
            play()


class Bench:
    """What the tables are run with. `names`: the clients. `quick`: fewer and shorter runs. `peers`: whether all are run, or those alone that change with the TLS library."""

    def __init__(self, server, clients, names, quick, peers):
        self.server, self.clients, self.quick, self.peers = server, clients, quick, peers
        self.names = set(names)

    def size(self, full, quick):
        return quick if self.quick else full

    def rounds(self, full=5):
        return 2 if self.quick else full

    def there(self, *clients):
        """Those of them that this build has, and that belong to this run."""
        kept = ("raw", "exeunt", "hyper-tuned", "reqwest-rustls")
        return [client for client in clients if client in self.names and (self.peers or client.startswith(kept))]

    def play(self, table, client, column, figure, scene, **options):
        def once():
            say(f"  {table.name}: {client}, {column}")
            self.server.forget()
            told = self.clients.run(client, scene, self.server, **options)
            table.add(client, column, told[figure])

        return once


LINES = {"raw-line": "raw-line", "exeunt-call": "raw-line"}
HTTP = {
    "raw-http": "raw-http",
    "exeunt-http": "raw-http",
    "hyper-tuned": "raw-http",
    "hyper": "raw-http",
    "hyper-util": "raw-http",
    "awc": "raw-http",
    "reqwest-rustls": "raw-http",
    "reqwest-openssl": "raw-http",
    "aiohttp": "raw-http",
    "aiohttp-uvloop": "raw-http",
    "exeunt-get": "raw-http",
}


def rows_of(bench, rows):
    present = bench.there(*rows)
    return {row: limit for row, limit in rows.items() if row in present}


def keepalive(bench):
    """A reply of 100 bytes on connections that are kept."""
    table = Table(
        "keepalive",
        "Keep-alive requests with replies of 100 bytes",
        "µs; of CPU a request, but for the latency",
        ["1: p50 latency", "1: CPU", "64: CPU", "512: CPU", "64 of 8,192: CPU"],
        rows_of(bench, LINES | HTTP),
        charted=["64: CPU"],
    )
    requests = bench.size(30_000, 8_000)

    def slowly(client):
        return requests // 4 if client.startswith("aiohttp") else requests

    def one(client):
        def once():
            bench.server.forget()
            say(f"  keepalive: {client}, 1")
            told = bench.clients.run(client, "keepalive", bench.server, requests=slowly(client) // 4)
            table.add(client, "1: p50 latency", told["p50_us"])
            table.add(client, "1: CPU", told["cpu_us"])

        return once

    # Those that are compared follow each other.
    plays = [one(client) for client in table.rows]
    for many in (64, 512):
        for client in table.rows:
            options = {"connections": many, "busy": many, "requests": slowly(client)}
            plays.append(bench.play(table, client, f"{many}: CPU", "cpu_us", "keepalive", **options))
    alternate(bench.rounds(), plays)
    # Thousands of handshakes before the first request: fewer runs, and of those alone that have a goal.
    many = bench.size(8_192, 2_048)
    column = "64 of 8,192: CPU"
    if bench.quick:
        table.notes.append(f"--quick: {many} connections in the last column.")
    plays = []
    for client in bench.there("raw-line", "exeunt-call", "exeunt-http"):
        options = {"connections": many, "busy": 64, "requests": 2 * requests, "resume": True}
        plays.append(bench.play(table, client, column, "cpu_us", "keepalive", **options))
        # Its neighbour in time, for the ratio.
        options = {"connections": 64, "busy": 64, "requests": 2 * requests, "resume": True}
        plays.append(bench.play(table, client, "beside it, 64: CPU", "cpu_us", "keepalive", **options))
    alternate(bench.rounds(3), plays)
    return table


def syscalls(bench):
    """System calls of a keep-alive request, one at a time: the difference of a long run and a short one."""
    table = Table(
        "syscalls",
        "System calls of a keep-alive request, one at a time",
        "calls",
        ["calls a request"],
        rows_of(bench, LINES | HTTP),
        digits=2,
    )
    short, more = 500, bench.size(2_000, 1_000)
    for client in table.rows:
        say(f"  syscalls: {client}")
        counts = [bench.clients.system_calls(client, "keepalive", bench.server, requests=n) for n in (short, short + more)]
        # A tenth more of them warms up.
        table.add(client, "calls a request", (counts[1] - counts[0]) / (more * 1.1))
    return table


def bulk(bench):
    """One long transfer on one connection."""
    size = bench.size(512, 128) << 20
    rows = {"raw-http": "raw-http", "exeunt-protocol": "raw-http"} | HTTP
    rows = rows_of(bench, {row: limit for row, limit in rows.items() if row not in ("exeunt-get", "hyper-tuned")})
    table = Table(
        "bulk",
        f"One transfer of {size >> 20} MiB",
        "ms of CPU a GB",
        ["download", "upload"],
        rows,
        charted=["download", "upload"],
        digits=0,
    )
    plays = [
        bench.play(table, client, column, "cpu_ms_a_gb", scene, bytes=size)
        for client in table.rows
        for column, scene in (("download", "bulk-down"), ("upload", "bulk-up"))
    ]
    alternate(bench.rounds(), plays)
    return table


# Whether a client resumes sessions by itself, never, or as it is told.
RESUMES = {"hyper-util": True} | dict.fromkeys(
    ("hyper", "awc", "reqwest-openssl", "aiohttp", "aiohttp-uvloop"), False
)


def connect(bench):
    """A new connection for each request, closed as well as the client can."""
    rows = rows_of(bench, LINES | HTTP)
    table = Table(
        "connect",
        "A new connection for each request, one after the other",
        "µs of CPU a connection",
        ["full handshake", "resumed"],
        rows,
        charted=["full handshake", "resumed"],
        digits=0,
    )
    table.notes.append("hyper-util (with hyper-openssl) always resumes; hyper, awc, reqwest on OpenSSL and aiohttp never do; reqwest on rustls does unless its configuration is taken from it. Nobody but raw and exeunt waits for the server's close_notify.")
    plays = []
    requests = bench.size(1_000, 200)
    for client in table.rows:
        own = RESUMES.get(client)
        for column, resume in (("full handshake", False), ("resumed", True)):
            if own is None or own == resume:
                plays.append(bench.play(table, client, column, "cpu_us", "connect", requests=requests, resume=resume))
    alternate(bench.rounds(), plays)
    return table


def memory(bench):
    """Idle connections, the client's side, in a process of its own."""
    many = bench.size(5_000, 1_000)
    rows = rows_of(bench, LINES | {row: limit for row, limit in HTTP.items() if row not in ("hyper-tuned", "exeunt-get")})
    table = Table(
        "memory",
        f"Memory of an idle client connection, RSS over {many:,}",
        "KB",
        ["KB a connection"],
        rows,
        digits=1,
    )
    for client in table.rows:
        ours = client.startswith(("raw", "exeunt"))
        plays = [bench.play(table, client, "KB a connection", "kb", "memory", connections=many)]
        alternate(bench.rounds(3) if ours else 1, plays)
    return table


def close(bench):
    """A graceful stop of idle connections."""
    table = Table(
        "close",
        "A graceful stop of idle connections",
        "µs a connection",
        ["2,000: CPU", "2,000: wall", "16,000: CPU", "16,000: wall", "clean at the server, %"],
        {"raw-line": "raw-line", "exeunt-call": "raw-line", "exeunt-http": "raw-line"},
        charted=["2,000: CPU", "16,000: CPU"],
        digits=1,
    )
    table.notes.append("16,000 are 8,000 in each of two processes on the same core, at the same time.")

    def stop(client, many, processes):
        def once():
            say(f"  close: {client}, {many:,}")
            bench.server.forget()
            figures = bench.clients.run_together(processes, client, "close", bench.server, connections=many // processes, resume=True)
            account = bench.server.ends()
            column = "2,000" if processes == 1 else "16,000"
            table.add(client, f"{column}: CPU", sum(one["cpu_us"] for one in figures) / many)
            table.add(client, f"{column}: wall", max(one["wall_us"] for one in figures) / many)
            table.add(client, "clean at the server, %", 100 * account["answer_read"] / account["accepted"])

        return once

    clients = bench.there(*table.rows)
    few, many = bench.size(2_000, 500), bench.size(16_000, 2_000)
    if bench.quick:
        table.notes.append(f"--quick: {few} and {many} in place of 2,000 and 16,000.")
    alternate(bench.rounds(), [stop(client, few, 1) for client in clients])
    # The small ones beside the large ones, for the ratio.
    pairs = [stop(client, count, processes) for client in clients[:2] for count, processes in ((few, 1), (many, 2))]
    alternate(bench.rounds(3), pairs)
    return table


def exeunt_alone(bench, name, title, unit, digits, columns, plays):
    """A table of exeunt's own, whose rows are sizes. `plays`: label, scene, options, and the figure of each column."""
    table = Table(name, title, unit, columns, {label: label for label, *_ in plays}, digits=digits)

    def play(label, scene, options, figures):
        def once():
            say(f"  {name}: {label}")
            if bench.server:
                bench.server.forget()
            told = bench.clients.run("exeunt", scene, bench.server, **options)
            for column, figure in figures.items():
                table.add(label, column, float(told[figure]))

        return once

    return table, [play(*one) for one in plays]


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
    label = f"{many:,} connections"
    table, plays = exeunt_alone(
        bench, "pipes", f"{many:,} connections over pipes in one process, both ends of each", "as the columns say", 1, list(figures),
        [(label, "pipes", {"connections": many}, figures)],
    )
    table.charted = []
    alternate(1, plays)
    return table


def supervisor(bench):
    """Admission and `Lost`, beside so many children that live."""
    plays = [
        (f"{many:,} alive", "supervisor", {"connections": many, "requests": bench.size(40_000, 10_000)}, {"ns": "cpu_ns"})
        for many in (100, 1_000, 10_000, 100_000)
    ]
    table, plays = exeunt_alone(
        bench, "supervisor", "A child's whole life without a byte: message, admission, actor, end, `Lost`", "ns of CPU", 0, ["ns"], plays
    )
    alternate(bench.rounds(), plays)
    return table


def workers(bench):
    """Callers on the workers' own threads."""
    plays = [
        (f"workers({many})", "workers", {"connections": 64, "requests": bench.size(60_000, 20_000), "workers": many, "everywhere": True}, {"CPU a request": "cpu_us", "threads": "threads"})
        for many in (1, 2)
    ]
    table, plays = exeunt_alone(
        bench, "workers", "Calls by callers on the workers' own threads, 64 at a time", "µs of CPU, all threads", 2, ["CPU a request", "threads"], plays
    )
    table.charted = ["CPU a request"]
    table.notes.append("The client may use both cores here, one of which is the server's.")
    alternate(bench.rounds(7), plays)
    return table


ENDS = [
    # label, client, scene
    ("reqwest (rustls): dropped, main returns", "reqwest-rustls", "ends"),
    ("reqwest (OpenSSL): dropped, main returns", "reqwest-openssl", "ends"),
    ("hyper-util: dropped, main returns", "hyper-util", "ends"),
    ("hyper: dropped, main returns", "hyper", "ends"),
    ("reqwest (rustls), multi-thread runtime", "reqwest-rustls", "ends-threads"),
    ("hyper-util, multi-thread runtime", "hyper-util", "ends-threads"),
    ("reqwest (rustls), then sleeping 500 ms", "reqwest-rustls", "ends-sleep"),
    ("hyper-util, then sleeping 500 ms", "hyper-util", "ends-sleep"),
    ("awc: dropped, main returns", "awc", "ends"),
    ("awc: dropped, `System::stop`", "awc", "ends-stop"),
    ("awc: dropped, then sleeping 500 ms", "awc", "ends-sleep"),
    ("aiohttp: `await session.close()`", "aiohttp", "ends"),
    ("the same, and the manual's `sleep(0.250)`", "aiohttp", "ends-sleep"),
    ("the same on uvloop", "aiohttp-uvloop", "ends-sleep"),
    ("aiohttp with `ssl_shutdown_timeout=2` (deprecated)", "aiohttp", "ends-timeout"),
    ("Python's http.client: `close()`", "http.client", "ends"),
    ("a bare loop that waits", "raw-http", "ends"),
    ("exeunt: `run` returns (lines)", "exeunt-call", "ends"),
    ("exeunt: `run` returns (HTTP session)", "exeunt-http", "ends"),
]


def ends(bench):
    """How idle connections end when the program ends as each library's manual says."""
    many = bench.size(2_000, 300)
    rows = [row for row in ENDS if row[1] in bench.there(row[1])]
    table = Table(
        "ends",
        f"How {many:,} idle connections end when the program ends as each library's manual says",
        "% of the connections, as the server counts",
        ["server saw close_notify", "and the client read the answer"],
        {label: None for label, *_ in rows},
        shares=True,
        digits=1,
    )
    for label, client, scene in rows:
        for _ in range(3 if client.startswith("exeunt") else 1):
            say(f"  ends: {label}")
            bench.server.forget()
            bench.clients.run(client, scene, bench.server, connections=many)
            account = bench.server.ends()
            if account["accepted"] < many:
                raise Failed(f"{label}: {account['accepted']} connections where {many} were wanted")
            table.add(label, "server saw close_notify", 100 * account["close_notify"] / account["accepted"])
            table.add(label, "and the client read the answer", 100 * account["answer_read"] / account["accepted"])
    return table


TABLES = {
    "ends": ends,
    "close": close,
    "keepalive": keepalive,
    "syscalls": syscalls,
    "bulk": bulk,
    "connect": connect,
    "memory": memory,
    "pipes": pipes,
    "supervisor": supervisor,
    "workers": workers,
}
