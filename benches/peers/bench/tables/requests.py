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
    def ask(client, column, figure, requests, **options):
        # Python's take several times as long.
        requests = requests // 4 if client.startswith("aiohttp") else requests
        return bench.play(table, client, column, figure, "keepalive", requests=requests, **options)

    def busy(client, column, many, requests):
        return ask(client, column, "cpu_us", requests, connections=many, busy=many)

    # Short runs, and many: those of a round, which are compared, are then near each other in time.
    alone = {"1: p50 latency": "p50_us", "1: CPU": "cpu_us"}
    alternate(bench.rounds(), [ask(client, "1", alone, bench.size(7_500, 2_000)) for client in table.rows])
    alternate(bench.rounds(15, 9), [busy(client, "64: CPU", 64, bench.size(10_000, 5_000)) for client in table.rows])
    plays = []
    for client in table.rows:
        plays.append(busy(client, "512: CPU", 512, bench.size(15_000, 5_000)))
        if client in ("raw-line", "exeunt-call", "exeunt-http"):
            # Its neighbour in time, for the ratio.
            plays.append(busy(client, "beside 512: CPU", 64, bench.size(15_000, 5_000)))
    alternate(bench.rounds(7, 5), plays)
    # Thousands of handshakes before the first request: fewer runs, and of those alone that have a goal.
    many = bench.size(8_192, 1_024)
    if bench.quick:
        table.notes.append(f"--quick: {many:,} connections in the last column.")
    plays = []
    for client in bench.there("raw-line", "exeunt-call", "exeunt-http"):
        for column, connections in (("64 of 8,192: CPU", many), ("beside 8,192: CPU", 64)):
            options = {"connections": connections, "busy": 64, "resume": True}
            plays.append(ask(client, column, "cpu_us", bench.size(40_000, 8_000), **options))
    alternate(bench.rounds(5, 3), plays)
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
    size = bench.size(256, 64) << 20
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
    alternate(bench.rounds(9, 7), plays)
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
    requests = bench.size(250, 100)
    for client in table.rows:
        own = RESUMES.get(client)
        for column, resume in (("full handshake", False), ("resumed", True)):
            if own is None or own == resume:
                plays.append(bench.play(table, client, column, "cpu_us", "connect", requests=requests, resume=resume))
    alternate(bench.rounds(21, 11), plays)
    return table
