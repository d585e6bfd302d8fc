"""Tables of requests and transfers: on connections that are kept, and on new ones."""

from processes import say

from .bench import HTTP, LINES
from .table import Table, alternate


def keepalive(bench):
    """A reply of 100 bytes on connections that are kept."""
    table = Table(
        "keepalive",
        "Keep-alive requests with replies of 100 bytes",
        "µs; of CPU a request, but for the latency",
        ["1: p50 latency", "1: CPU", "64: CPU", "512: CPU", "64 of 8,192: CPU"],
        bench.rows(LINES | HTTP),
        charted=["64: CPU"],
    )
    requests = bench.size(30_000, 8_000)

    def slowly(client):
        return requests // 4 if client.startswith("aiohttp") else requests

    # Those that are compared follow each other.
    alone = {"1: p50 latency": "p50_us", "1: CPU": "cpu_us"}
    plays = [bench.play(table, client, "1", alone, "keepalive", requests=slowly(client) // 4) for client in table.rows]
    for many in (64, 512):
        for client in table.rows:
            options = {"connections": many, "busy": many, "requests": slowly(client)}
            plays.append(bench.play(table, client, f"{many}: CPU", "cpu_us", "keepalive", **options))
    alternate(bench.rounds(), plays)
    # Thousands of handshakes before the first request: fewer runs, and of those alone that have a goal.
    many = bench.size(8_192, 1_024)
    column = "64 of 8,192: CPU"
    if bench.quick:
        table.notes.append(f"--quick: {many:,} connections in the last column.")
    plays = []
    for client in bench.there("raw-line", "exeunt-call", "exeunt-http"):
        options = {"connections": many, "busy": 64, "requests": 2 * requests, "resume": True}
        plays.append(bench.play(table, client, column, "cpu_us", "keepalive", **options))
        # Its neighbour in time, for the ratio.
        options = {"connections": 64, "busy": 64, "requests": 2 * requests, "resume": True}
        plays.append(bench.play(table, client, "beside it, 64: CPU", "cpu_us", "keepalive", **options))
    alternate(bench.rounds(3, elsewhere=2), plays)
    return table


def syscalls(bench):
    """System calls of a keep-alive request, one at a time."""
    table = Table(
        "syscalls",
        "System calls of a keep-alive request, one at a time",
        "calls",
        ["calls a request"],
        bench.rows(LINES | HTTP),
    )
    for client in table.rows:
        say(f"  syscalls: {client}")
        table.add(client, "calls a request", calls_a_request(bench, client, "keepalive"))
    return table


def calls_a_request(bench, client, scene, **options):
    """The difference of a long run and a short one."""
    short, more = 500, bench.size(2_000, 1_000)
    counts = [bench.clients.system_calls(client, scene, bench.server, requests=n, **options) for n in (short, short + more)]
    # A tenth more of them warms up.
    return (counts[1] - counts[0]) / (more * 1.1)


def bulk(bench):
    """One long transfer on one connection."""
    size = bench.size(512, 128) << 20
    rows = {"raw-http": "raw-http", "exeunt-protocol": "raw-http"} | HTTP
    table = Table(
        "bulk",
        f"One transfer of {size >> 20} MiB",
        "ms of CPU a GB",
        ["download", "upload"],
        bench.rows({row: limit for row, limit in rows.items() if row not in ("exeunt-get", "hyper-tuned")}),
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
RESUMES = {"hyper-util": True} | dict.fromkeys(("hyper", "awc", "reqwest-openssl", "aiohttp", "aiohttp-uvloop"), False)


def connect(bench):
    """A new connection for each request, closed as well as the client can."""
    table = Table(
        "connect",
        "A new connection for each request, one after the other",
        "µs of CPU a connection",
        ["full handshake", "resumed"],
        bench.rows(LINES | HTTP),
        charted=["full handshake", "resumed"],
        digits=0,
    )
    table.notes.append("hyper-util (with hyper-openssl) always resumes; hyper, awc, reqwest on OpenSSL and aiohttp never do; reqwest on rustls does unless its configuration is taken from it. Nobody but raw and exeunt waits for the server's close_notify.")
    plays = []
    requests = bench.size(600, 200)
    for client in table.rows:
        own = RESUMES.get(client)
        for column, resume in (("full handshake", False), ("resumed", True)):
            if own is None or own == resume:
                plays.append(bench.play(table, client, column, "cpu_us", "connect", requests=requests, resume=resume))
    alternate(bench.rounds(), plays)
    return table
