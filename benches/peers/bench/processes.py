"""The server and the clients as processes: where they run, and what they say."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    """A process did not do what it was started for."""


def cores():
    """The client's core and the server's, or (None, None) where they cannot be told apart or be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


def pinned(core):
    if core is None:
        return None
    return lambda: os.sched_setaffinity(0, {core} if isinstance(core, int) else core)


class Server:
    """One server for all clients of a table, on another port for each run: see `server/mod.rs`."""

    def __init__(self, program, core):
        self.core = core
        self.process = subprocess.Popen(
            [program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pinned(core)
        )
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            raise Failed("the server did not start")
        self.port, self.ca = words

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def afresh(self):
        self.say("reset")
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            raise Failed("the server has ended")

    def ends(self):
        """The account, when every connection in it has ended. The client must have gone."""
        for _ in range(200):
            self.say("ends")
            account = json.loads(self.process.stdout.readline())
            ended = sum(account[how] for how in ("close_notify", "truncated", "reset", "handshakes_failed"))
            if ended >= account["accepted"]:
                return account
            time.sleep(0.05)
        raise Failed(f"some connections have not ended: {account}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Clients:
    """Starts clients: those of the Rust program, and the Python ones."""

    # Longer than any run takes, also on a busy machine.
    LIMIT = 600

    def __init__(self, program, python, core, every_core):
        self.program, self.python, self.core, self.every_core = program, python, core, every_core

    def command(self, client, scene, server, options):
        words = []
        for name, value in options.items():
            words += [f"--{name}"] if value is True else [] if value in (None, False) else [f"--{name}", str(value)]
        there = ["--port", server.port, "--ca", server.ca] if server else []
        if client.startswith(("aiohttp", "http.client")):
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_clients.py")
            return [self.python, "-B", script, client, scene, *there, *words]
        return [self.program, client, scene, *there, *words]

    def run(self, client, scene, server=None, everywhere=False, **options):
        """Runs one to its end; what it has told, or None where a scene tells nothing."""
        command = self.command(client, scene, server, options)
        core = self.every_core if everywhere else self.core
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.LIMIT, preexec_fn=pinned(core))
        except subprocess.TimeoutExpired:
            raise Failed(f"{client} {scene}: not done after {self.LIMIT} s") from None
        if done.returncode != 0:
            raise Failed(f"{client} {scene}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def run_together(self, many, client, scene, server, **options):
        """The same in several processes at a time."""
        command = self.command(client, scene, server, options)
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=pinned(self.core))
            for _ in range(many)
        ]
        figures = []
        for process in started:
            told, complaint = process.communicate(timeout=self.LIMIT)
            if process.returncode != 0:
                raise Failed(f"{client} {scene}: exit code {process.returncode}: {complaint.strip()[-400:]}")
            figures.append(json.loads(told.strip().splitlines()[-1]))
        return figures

    def system_calls(self, client, scene, server, **options):
        """How many system calls the whole process made, by strace."""
        with tempfile.NamedTemporaryFile("r", suffix=".strace") as summary:
            command = ["strace", "-f", "-c", "-o", summary.name, *self.command(client, scene, server, options)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.LIMIT, preexec_fn=pinned(self.core))
            if done.returncode != 0:
                raise Failed(f"strace {client}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")
            total = re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+)", summary.read(), re.MULTILINE)
        if not total:
            raise Failed("strace: no total in its summary")
        return int(total.group(1))


def say(line):
    print(line, file=sys.stderr, flush=True)
