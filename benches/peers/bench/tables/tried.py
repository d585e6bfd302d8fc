"""What else was tried: tables that are no comparison with peers and have no goal. They are run when they are asked for, by `--tried` or by name."""

from processes import Clients, Server, say

from .requests import calls_a_request
from .table import Table, alternate


def variants(bench, name, title, unit, columns, rows, plays, rounds=5, digits=2):
    """`rows`: the label of each, and the one that it is compared with. `plays`: for a label its client, the options, and for each scene the column, the figure and the scene's own options."""
    table = Table(name, title, unit, columns, rows, digits=digits)
    table.charted = []
    runs = [
        bench.play(table, client, column, figure, scene, row=label, **options, **own)
        for column, figure, scene, own in plays["scenes"]
        for label, client, options in plays["rows"]
    ]
    alternate(bench.rounds(rounds), runs)
    return table


BUSY = {"connections": 64, "busy": 64}

HYBRID = "X25519MLKEM768"


def groups(bench):
    """Which key exchange a client offers first, and to whom."""
    offers = ["the library's own", HYBRID, f"X25519:{HYBRID}", "X25519", "P-256"]
    if bench.peers:
        offers = [offer for offer in offers if HYBRID not in offer]
    table = Table(
        "groups",
        "A full handshake, by the key exchange groups that the client offers",
        "µs of CPU a connection (`raw-line`)",
        ["server on the system's OpenSSL", "server on the client's library"],
        dict.fromkeys(offers, offers[0]),
        charted=[],
        digits=0,
    )
    requests = bench.size(1_000, 200)
    same = Server(bench.clients.program, bench.server.core)
    with same:
        plays = []
        for offer in offers:
            chosen = None if offer == offers[0] else offer
            for column, server in zip(table.columns, (bench.server, same)):
                # OpenSSL 3.0 does not have it, and then there is nothing in common.
                if offer == HYBRID and server is bench.server:
                    continue

                def once(offer=offer, chosen=chosen, column=column, server=server):
                    say(f"  groups: {offer}, {column}")
                    server.afresh()
                    told = bench.clients.run("raw-line", "connect", server, requests=requests, groups=chosen)
                    table.add(offer, column, told["cpu_us"])

                plays.append(once)
        alternate(bench.rounds(), plays)
    return table


def contexts(bench):
    """One TLS context for all connections, or one for each."""
    rows, plays = {}, []
    for client in ("raw-line", "exeunt-call"):
        for label, options in (
            (f"{client}: one for all", {}),
            (f"{client}: one each", {"own-context": True}),
            (f"{client}: one for all, with the system's roots", {"roots": True}),
            (f"{client}: one each, with the system's roots", {"roots": True, "own-context": True}),
        ):
            rows[label] = f"{client}: one for all"
            plays.append((label, client, options))
    scenes = [
        ("full handshake, µs of CPU", "cpu_us", "connect", {"requests": bench.size(200, 50)}),
        ("KB a connection", "kb", "memory", {"connections": bench.size(200, 100)}),
    ]
    title = "A certificate store and context for all connections, or one for each"
    return variants(bench, "contexts", title, "as the columns say", [scene[0] for scene in scenes], rows, {"rows": plays, "scenes": scenes}, rounds=2, digits=0)


def buffers(bench):
    """What giving the record buffers back saves, and what it costs."""
    requests, many = bench.size(30_000, 8_000), bench.size(2_000, 500)
    columns = ["64: CPU, µs", "idle, KB", "after a rest of 0.3 s: CPU, µs", "after a rest of 2.2 s: CPU, µs"]
    freed = "raw-line, given back after each answer"
    modes = {"raw-line, kept": "kept", "raw-line, `SSL_MODE_RELEASE_BUFFERS`": "released", freed: "freed"}
    ours = "exeunt-call, given back when idle for a second"
    rows = dict.fromkeys([*modes, ours], "raw-line, kept")
    table = Table("buffers", "Record buffers that are kept, or given back", "of CPU a request; KB of RSS without what the allocator keeps", columns, rows, charted=[])
    runs = [(label, "raw-line", {"buffers": mode}) for label, mode in modes.items()] + [(ours, "exeunt-call", {})]
    plays = [bench.play(table, client, columns[0], "cpu_us", "keepalive", row=row, requests=requests, **BUSY, **options) for row, client, options in runs]
    alternate(bench.rounds(), plays)
    # In a rest of 0.3 s nothing is given back, for the supervisor looks once a second.
    plays = [bench.play(table, client, columns[1], "trimmed_kb", "memory", row=row, connections=many, **options) for row, client, options in runs]
    for column, rest in zip(columns[2:], (300, 2_200)):
        plays += [
            bench.play(table, client, column, "cpu_us", "rests", row=row, connections=many, requests=3 * many, rest=rest, **options)
            for row, client, options in runs
            if row != freed
        ]
    alternate(2, plays)
    return table


def builds(bench, prefix, table, clients, scenes):
    """The same by programs of other builds. `scenes`: for each column its figure, the scene, its options, and how often it is run."""
    there = {"": bench.clients} | {
        f", {name}": Clients(program, bench.clients.python, bench.clients.core, bench.clients.every_core)
        for name, program in bench.others.items()
        if name.startswith(prefix)
    }
    table.rows = {f"{client}{name}": client for client in clients for name in there}
    table.columns = list(scenes)
    for column, (figure, scene, options, rounds) in scenes.items():
        plays = [
            bench.play(table, client, column, figure, scene, row=client + name, clients=build, **options)
            for client in clients
            for name, build in there.items()
        ]
        alternate(min(rounds, bench.rounds(rounds)), plays)
    if len(there) == 1:
        table.notes.append(f"There was no build with {prefix}.")
    return table


def allocator(bench):
    """mimalloc in place of the system's allocator."""
    table = Table("allocator", "mimalloc as the client's allocator", "of CPU a request or connection; KB of RSS", [], {}, charted=[])
    scenes = {
        "64: CPU, µs": ("cpu_us", "keepalive", {"requests": bench.size(10_000, 5_000)} | BUSY, 9),
        "full handshake: CPU, µs": ("cpu_us", "connect", {"requests": bench.size(250, 100)}, 9),
        "idle, KB": ("kb", "memory", {"connections": bench.size(2_000, 500)}, 1),
    }
    return builds(bench, "mimalloc", table, ("raw-line", "exeunt-call", "exeunt-http", "exeunt-get"), scenes)


def lto(bench):
    """What an application's own build brings: `lto = "fat"`, `codegen-units = 1`."""
    table = Table("lto", "The whole program optimized at once", "of CPU a request or connection", [], {}, charted=[])
    scenes = {
        "64: CPU, µs": ("cpu_us", "keepalive", {"requests": bench.size(10_000, 5_000)} | BUSY, 15),
        "resumed: CPU, µs": ("cpu_us", "connect", {"requests": bench.size(250, 100), "resume": True}, 9),
    }
    return builds(bench, "lto", table, ("raw-line", "exeunt-call", "raw-http", "hyper-tuned", "exeunt-http"), scenes)


def quickack(bench):
    """`TCP_QUICKACK` after each read."""
    rows = {"raw-line": "raw-line", "raw-line, `TCP_QUICKACK`": "raw-line"}
    plays = [(label, "raw-line", {"quickack": True} if "QUICK" in label else {}) for label in rows]
    requests = bench.size(30_000, 8_000)
    scenes = [
        ("1: p50 latency", "p50_us", "keepalive", {"requests": requests // 4}),
        ("1: CPU", "cpu_us", "keepalive", {"requests": requests // 4}),
        ("64: CPU", "cpu_us", "keepalive", {"requests": requests} | BUSY),
    ]
    return variants(bench, "quickack", "`TCP_QUICKACK` after each read", "µs; of CPU a request, but for the latency", [scene[0] for scene in scenes], rows, {"rows": plays, "scenes": scenes})


def pipelining(bench):
    """Calls that are outstanding on one connection at a time, whose requests one poll writes together."""
    columns = ["CPU, µs", "system calls"]
    rows = {f"{many} outstanding": "1 outstanding" for many in (1, 8, 64)}
    table = Table("pipelining", "Calls on one connection, by how many are outstanding", "of a call, `exeunt-call`", columns, rows, charted=[])
    plays = []
    for label in rows:
        busy = int(label.split()[0])
        plays.append(bench.play(table, "exeunt", columns[0], "cpu_us", "pipelined", row=label, busy=busy, requests=bench.size(60_000, 15_000)))
        say(f"  pipelining: {label}, {columns[1]}")
        table.add(label, columns[1], calls_a_request(bench, "exeunt", "pipelined", busy=busy))
    alternate(bench.rounds(), plays)
    return table
