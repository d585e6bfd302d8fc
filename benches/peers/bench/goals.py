"""The goals: each has a name, what it is measured by, and what is wanted."""

from dataclasses import dataclass


@dataclass
class Verdict:
    name: str
    what: str
    wanted: str
    measured: str
    # None: what it needs was not measured.
    met: bool | None


def at_most(name, what, limit, value, form="{:.2f}"):
    return verdict(name, what, f"at most {limit}", value, form, lambda shown: shown <= limit)


def at_least(name, what, limit, value, form="{:.2f}"):
    return verdict(name, what, f"at least {limit}", value, form, lambda shown: shown >= limit)


def verdict(name, what, wanted, value, form, suits):
    """`value`: one, or a ratio of two kinds. Met when all are: as they are shown, for what is told as 1.08 meets 1.08."""
    values = value if isinstance(value, tuple) else (value,)
    if values[0] is None:
        return Verdict(name, what, wanted, "not measured", None)
    shown = [form.format(value) for value in values if value is not None]
    measured = shown[0] + "".join(f" ({other})" for other in shown[1:])
    return Verdict(name, what, wanted, measured, all(suits(float(one)) for one in shown))


def ratios(table):
    """A ratio is two: that of the medians, and in brackets the median of the rounds' own."""
    return lambda *cells: (table.ratio(*cells), table.by_rounds(*cells))


def keepalive(table, _):
    ratio, at = ratios(table), "64: CPU"
    yield at_most("call-64", "Call, 64 at a time, CPU against the limit", 1.08, ratio("exeunt-call", at))
    yield at_most("get-64", "GET, 64 at a time, CPU against the limit", 1.40, ratio("exeunt-http", at))
    yield at_most("get-64-hyper", "GET against bare hyper at the same TLS settings", 1.05, ratio("exeunt-http", at, "hyper-tuned"))
    for peer, by in (("hyper-util", 1.25), ("awc", 1.25), ("reqwest-rustls", 1.25), ("reqwest-openssl", 1.55), ("aiohttp", 6)):
        if peer in table.rows:
            yield at_least(f"get-64-{peer}", f"GET, ahead of {peer}", by, ratio(peer, at, "exeunt-http"))
    for client, name in (("exeunt-call", "call"), ("exeunt-http", "get")):
        yield at_most(f"{name}-512", f"{name}, 512 at a time against 64", 1.15, ratio(client, "512: CPU", client, "beside 512: CPU"))
        beside = "beside 8,192: CPU"
        yield at_most(f"{name}-8192", f"{name}, 64 busy of 8,192 against 64 of 64", 1.25, ratio(client, "64 of 8,192: CPU", client, beside))


def syscalls(table, _):
    for client, name in (("exeunt-call", "call"), ("exeunt-http", "get")):
        yield at_most(f"syscalls-{name}", f"system calls of a {name}, one at a time", 3, table.median(client, "calls a request"), "{:.1f}")


def bulk(table, _):
    for way in ("download", "upload"):
        for client, name in (("exeunt-protocol", "protocol"), ("exeunt-http", "http")):
            yield at_most(f"{way}-{name}", f"{way} by {client}, CPU against the limit", 1.03, ratios(table)(client, way))


def connect(table, tls):
    ratio = ratios(table)
    yield at_most("connect-full", "a call on a new connection, against the limit", 1.05, ratio("exeunt-call", "full handshake"))
    yield at_most("connect-resumed", "the same, resumed", 1.05, ratio("exeunt-call", "resumed"))
    if "hyper-util" in table.rows:
        yield at_most("connect-resumed-hyper-util", "a GET on a new connection, resumed, against hyper-util with hyper-openssl", 0.95, ratio("exeunt-http", "resumed", "hyper-util"))
    if tls == "aws-lc" and "reqwest-rustls" in table.rows:
        yield at_most("aws-lc-resumed", "a GET on a new connection, resumed, against reqwest on rustls", 0.9, ratio("exeunt-http", "resumed", "reqwest-rustls"))
        yield at_most("aws-lc-full", "a GET on a new connection, against reqwest on rustls", 1.0, ratio("exeunt-http", "full handshake", "reqwest-rustls"))


def memory(table, tls):
    column = "KB a connection"
    for client, name in (("exeunt-call", "call"), ("exeunt-http", "http")):
        yield at_most(f"memory-{name}", f"an idle connection of {client}, KB", 16 if tls == "aws-lc" else 30, table.median(client, column), "{:.1f}")
    if tls == "aws-lc":
        best = min((table.median(peer, column) for peer in ("reqwest-rustls",) if table.median(peer, column)), default=None)
        ours = table.median("exeunt-call", column)
        yield at_most("memory-best-peer", "the same, against the best peer", 0.5, ours / best if ours and best else None)


def close(table, _):
    ratio = ratios(table)
    yield at_most("close-2000", "stop of 2,000, CPU against a loop that does the same", 1.0, ratio("exeunt-call", "2,000: CPU"))
    yield at_most("close-16000", "stop of 16,000, CPU a connection against 2,000", 1.1, ratio("exeunt-call", "16,000: CPU", "exeunt-call", "beside 16,000: CPU"))
    for client, name in (("exeunt-call", "call"), ("exeunt-http", "http")):
        cell = table.cells.get((client, "clean at the server, %"))
        yield at_least(f"close-clean-{name}", f"of those of {client}, clean as the server counts, in every run, %", 100, min(cell.samples) if cell else None, "{:.2f}")


def ends(table, _):
    for label in table.rows:
        if label.startswith("exeunt"):
            lows = [min(table.cells[label, column].samples) for column in table.columns]
            yield at_least(f"ends-{'http' if 'HTTP' in label else 'call'}", f"{label}: clean in every run, %", 100, min(lows))


def pipes(table, _):
    (label,) = table.rows
    many = int(label.split()[0].replace(",", ""))
    yield at_least("pipes", f"rows of {label}", many, table.median(label, "rows"), "{:.0f}")
    yield at_least("pipes-clean", "of those, close_notify both ways", many, table.median(label, "close_notify both ways"), "{:.0f}")


def supervisor(table, _):
    sizes = list(table.rows)

    def spread(figures):
        return max(figures) / min(figures) if all(figures) else None

    yield at_most("supervisor", "admission and Lost with 100 alive, ns", 2000, table.median(sizes[0], "ns"), "{:.0f}")
    flat = spread([table.median(size, "ns") for size in sizes]), spread([table.by_rounds(size, "ns", sizes[0]) for size in sizes])
    yield at_most("supervisor-flat", "the dearest against the cheapest, from 100 to 100,000 alive", 1.25, flat)


def workers(table, _):
    yield at_most("workers", "workers(2) against workers(1), CPU of all threads", 1.15, ratios(table)("workers(2)", "CPU a request", "workers(1)"))


def check(table, tls):
    """Those of this table; what was only tried has none."""
    of = globals().get(table.name)
    return list(of(table, tls)) if of else []
