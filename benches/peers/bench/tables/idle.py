"""Tables of idle connections: what they hold, and how they end."""

from processes import Failed, say

from .bench import HTTP, LINES
from .table import Table, alternate


def memory(bench):
    """Idle connections, the client's side, in a process of its own."""
    many = bench.size(5_000, 1_000)
    rows = LINES | {row: limit for row, limit in HTTP.items() if row not in ("hyper-tuned", "exeunt-get")}
    table = Table(
        "memory",
        f"Memory of an idle client connection, RSS over {many:,}",
        "KB",
        ["KB a connection", "without what the allocator keeps"],
        bench.rows(rows),
        charted=["KB a connection"],
        digits=1,
    )
    table.notes.append("A pool makes so many connections by as many requests at a time, so each had its buffers at once; glibc keeps the room of those that were given back. The second figure is taken after `malloc_trim`.")
    figures = {"KB a connection": "kb", "without what the allocator keeps": "trimmed_kb"}
    # It hardly differs between runs, which are long: one is enough.
    plays = [bench.play(table, client, "KB a connection", figures, "memory", connections=many) for client in table.rows]
    alternate(1, plays)
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

    def stop(client, column, many, processes):
        def once():
            say(f"  close: {client}, {many:,}")
            bench.server.afresh()
            figures = bench.clients.run_together(processes, client, "close", bench.server, connections=many // processes, resume=True)
            account = bench.server.ends()
            table.add(client, f"{column}: CPU", sum(one["cpu_us"] for one in figures) / many)
            table.add(client, f"{column}: wall", max(one["wall_us"] for one in figures) / many)
            table.add(client, "clean at the server, %", 100 * account["answer_read"] / account["accepted"])

        return once

    clients = bench.there(*table.rows)
    few, many = bench.size(2_000, 500), bench.size(16_000, 2_000)
    if bench.quick:
        table.notes.append(f"--quick: {few} and {many} in place of 2,000 and 16,000.")
    alternate(bench.rounds(7, 5), [stop(client, "2,000", few, 1) for client in clients])
    # The small ones beside the large ones, for the ratio.
    sizes = ("beside 16,000", few, 1), ("16,000", many, 2)
    alternate(bench.rounds(3, 2), [stop(client, *size) for client in clients[:2] for size in sizes])
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
    # rustls is the same beside each library.
    rows = [row for row in ENDS if bench.there(row[1]) and (bench.peers or row[1] != "reqwest-rustls")]
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
            bench.server.afresh()
            bench.clients.run(client, scene, bench.server, connections=many)
            account = bench.server.ends()
            if account["accepted"] < many:
                raise Failed(f"{label}: {account['accepted']} connections where {many} were wanted")
            table.add(label, "server saw close_notify", 100 * account["close_notify"] / account["accepted"])
            table.add(label, "and the client read the answer", 100 * account["answer_read"] / account["accepted"])
    return table
