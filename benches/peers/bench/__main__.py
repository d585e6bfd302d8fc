"""Runs the benchmarks: see script/bench, which builds what this needs."""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import date

import chart
import documents
import goals
import report
from processes import Clients, Failed, Server, cores, say
from tables import TABLES, TRIED, Bench

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
RESULTS = os.path.join(ROOT, "target", "bench", "results")
LIBRARIES = list(report.LIBRARIES)
EVERY = TABLES | TRIED


def arguments():
    parser = argparse.ArgumentParser(prog="script/bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=list(EVERY), default=[])
    parser.add_argument("--tried", action="store_true")
    parser.add_argument("--client", action="append", default=[])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--program", action="append", default=[], help="TLS=PATH")
    parser.add_argument("--other", action="append", default=[], help="NAME=PATH: a build for what was tried")
    parser.add_argument("--server")
    parser.add_argument("--python")
    return parser.parse_args()


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


PEERS = ("actix", "awc", "hyper", "hyper-openssl", "hyper-util", "openssl", "reqwest", "rustls", "tokio", "tokio-openssl")


def versions():
    with open(os.path.join(ROOT, "benches", "peers", "Cargo.lock"), encoding="utf-8") as file:
        packages = re.findall(r'^name = "(.+)"\nversion = "(.+)"$', file.read(), re.MULTILINE)
    return ", ".join(f"{name} {version}" for name, version in packages if name in PEERS)


def machine(tls, program, python, pinned, quick):
    told = {
        "date": date.today().isoformat(),
        "runs": "short (`--quick`)" if quick else "full",
        "machine": f"{os.cpu_count()} cores, {processor()}, {platform.system()} {platform.release()}",
        "pinned": "the client to one core, the server to another" if pinned else "nothing: this machine does not let processes be pinned, or has one core",
        "compiler": output("rustc", "--version"),
        "peers": versions(),
        "tls": output(program, "version"),
    }
    if python:
        told["Python"] = output(python, "-c", "import aiohttp, platform, uvloop; print(platform.python_version(), 'aiohttp', aiohttp.__version__, 'uvloop', uvloop.__version__)")
    return told


def measure(asked, tls, program):
    client_core, server_core = cores()
    names = output(program, "list").split()
    if asked.python:
        names += ["aiohttp", "aiohttp-uvloop", "http.client"]
    if asked.client:
        names = [name for name in names if name in asked.client]
    clients = Clients(program, asked.python, client_core, None if client_core is None else {client_core, server_core})
    facts = machine(tls, program, asked.python, client_core is not None, asked.quick)
    others = dict(one.split("=", 1) for one in asked.other) if tls == "system" else {}
    verdicts, took = [], {}
    tried = TRIED if tls == "system" else ["groups"]
    for name in asked.only or (tried if asked.tried else TABLES):
        say(f"bench: {name}, {report.LIBRARIES[tls]}")
        began = time.monotonic()
        try:
            with Server(asked.server, server_core) as server:
                table = EVERY[name](Bench(server, clients, names, asked.quick, tls == "system", others))
        except (Failed, OSError) as failed:
            say(f"bench: {name}: {failed}")
            verdicts.append({"name": f"{name} (all of it)", "what": str(failed), "wanted": "measured", "measured": "failed", "met": False})
            continue
        mine = goals.check(table, tls)
        data = report.as_data(table, facts, mine)
        # A part of a table is no result.
        if not asked.client:
            keep(data, os.path.join(RESULTS, tls))
        print(report.text(report.Shown(data)), flush=True)
        verdicts += data["goals"]
        took[name] = time.monotonic() - began
        say(f"bench: {name} took {took[name]:.0f} s")
    say(f"bench: {report.LIBRARIES[tls]} took {sum(took.values()):.0f} s: " + ", ".join(f"{name} {time:.0f}" for name, time in took.items()))
    if verdicts:
        print(f"\nThe goals, {report.LIBRARIES[tls]}:\n{report.goals_text(verdicts)}", flush=True)
    return verdicts


def keep(data, folder):
    report.keep(folder, data)
    svg = chart.draw(report.Shown(data))
    if svg:
        with open(os.path.join(folder, data["name"] + ".svg"), "w", encoding="utf-8") as file:
            file.write(svg)


def main():
    asked = arguments()
    verdicts = []
    if not asked.no_run:
        for one in asked.program:
            tls, program = one.split("=", 1)
            verdicts += measure(asked, tls, program)
    if asked.write:
        documents.write(ROOT, RESULTS, list(TABLES), list(TRIED), LIBRARIES)
    missed = [verdict["name"] for verdict in verdicts if verdict["met"] is False]
    if missed:
        print(f"\nbench: missed: {', '.join(missed)}")
        sys.exit(1)


main()
