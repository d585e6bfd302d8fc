"""Runs every example and checks what it prints and how it exits.

usage: examples.py TARGET_DIRECTORY    (with debug/examples built)

Nothing sleeps: each wait is for a line or for an exit, and has a deadline.
"""

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE = 60  # Seconds for any one wait: nothing here takes more than a few, even in debug on a slow machine.
QUICKSTART_GOAL = 2.0  # Seconds, without optimization too. It is told when it is missed; five times as much is a fault, whatever the machine.
HELD = 1000  # Connections in the last scene.


class Failed(Exception):
    """An example did not do what it should."""


class Program:
    """A running example, its standard output read line by line. On the way out of `with` it is gone."""

    def __init__(self, path, *arguments, cwd):
        self.name = " ".join([path.name, *arguments])
        print(f"   {self.name}", flush=True)
        self.lines = []
        self.queue = queue.Queue()
        self.process = subprocess.Popen(
            [path, *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            # Who runs us in the background of a shell has SIGINT ignored, and a child inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        # A program that prints much must never wait for us, so everything is read as it comes.
        for line in self.process.stdout:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def line(self, until):
        """The next line, or None at the end of the output."""
        try:
            line = self.queue.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise Failed(f"{self.name}: nothing more was printed for too long; so far:\n{self.tail()}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def wait_for(self, is_it, what):
        until = time.monotonic() + DEADLINE
        while (line := self.line(until)) is not None:
            if is_it(line):
                return line
        raise Failed(f"{self.name}: ended without {what}; it printed:\n{self.tail()}")

    def ends(self, code=0):
        """Waits for the end and checks the exit code."""
        until = time.monotonic() + DEADLINE
        while self.line(until) is not None:
            pass
        try:
            got = self.process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: closed its output and did not exit") from None
        if got != code:
            raise Failed(f"{self.name}: exit code {got}, not {code}; it printed:\n{self.tail()}")

    def tail(self):
        return "\n".join(f"     | {line[:300]}" for line in self.lines[-20:])

    def ledger(self):
        """The last line as a ledger, which must be clean and add up."""
        line = self.lines[-1] if self.lines else ""
        try:
            ledger = json.loads(line)
            verdict, admitted, lost, rows = (ledger[key] for key in ("verdict", "admitted", "lost", "rows"))
            for key in ("connected", "by_reason", "elapsed_ms"):
                ledger[key]
        except (ValueError, TypeError, KeyError) as error:
            raise Failed(f"{self.name}: the last line is not a ledger ({error!r}):\n{self.tail()}") from None
        if verdict != "clean":
            raise Failed(f"{self.name}: the verdict is {verdict}: {ledger['by_reason']}")
        if admitted != lost:
            raise Failed(f"{self.name}: {admitted} admitted and {lost} lost")
        if sum(ledger["by_reason"].values()) != lost:
            raise Failed(f"{self.name}: the reasons {ledger['by_reason']} do not add up to {lost} lost")
        if len(rows) > lost:
            raise Failed(f"{self.name}: more rows ({len(rows)}) than connections lost ({lost})")
        return ledger


def is_event(line, event):
    try:
        return json.loads(line).get("event") == event
    except (ValueError, AttributeError):
        return False


def check(condition, program, what):
    if not condition:
        raise Failed(f"{program.name}: {what}; it printed:\n{program.tail()}")


def quickstart(debug, work):
    with Program(debug / "quickstart", cwd=work) as program:
        start = time.monotonic()
        program.ends()
        took = time.monotonic() - start
        check(program.lines, program, "it printed nothing")
    print(f"     {took:.2f} s" + (f": more than the goal of {QUICKSTART_GOAL} s" if took > QUICKSTART_GOAL else ""))
    check(took < 5 * QUICKSTART_GOAL, program, f"it took {took:.1f} s")
    with Program(debug / "quickstart", "--json", cwd=work) as program:
        program.ends()
        ledger = program.ledger()
        check(ledger["admitted"] > 0, program, "no connection was admitted")


def alone(debug, work, name):
    with Program(debug / name, cwd=work) as program:
        program.ends()


def echo(debug, work):
    """One server for three clients: people's output, JSON, and a thousand connections that are held until SIGINT. Then SIGTERM for the server."""
    certificate = "exeunt-echo-ca.pem"
    arguments = ["--host", "127.0.0.1", "--port", "0", "--max-connections", str(2 * HELD)]
    with Program(debug / "echo_server", *arguments, cwd=work) as server:
        first = server.wait_for(lambda _: True, "a first line")
        check("listening on " in first, server, "the first line does not say what it listens on")
        port = first.split("listening on ", 1)[1].split()[0].rstrip(".,;").rsplit(":", 1)[1]
        check(port.isdigit() and port != "0", server, f"{port!r} is not a port")
        server.wait_for(lambda line: certificate in line, f"saying that it wrote {certificate}")
        check((work / certificate).is_file(), server, f"there is no {certificate}")
        client = [f"localhost:{port}", "--ca", certificate]

        with Program(debug / "talk", *client, "--lines", "3", cwd=work) as talk:
            talk.ends()

        with Program(debug / "talk", *client, "--lines", "10", "--connections", "4", "--json", cwd=work) as talk:
            talk.ends()
            events = [line for line in talk.lines if is_event(line, "connected")]
            check(len(events) == 4, talk, f"{len(events)} connected, not 4")
            check(is_event(talk.lines[-1], "ledger"), talk, "the last line is not the ledger's event")
            check(talk.ledger()["connected"] == 4, talk, "the ledger does not have 4 connected")

        with Program(debug / "talk", *client, "--connections", str(HELD), "--hold", "--json", cwd=work) as talk:
            for _ in range(HELD):
                talk.wait_for(lambda line: is_event(line, "connected"), f"{HELD} connected")
            talk.process.send_signal(signal.SIGINT)
            talk.ends()
            ledger = talk.ledger()
            check(len(ledger["rows"]) == HELD, talk, f"{len(ledger['rows'])} rows, not {HELD}")
            print(f"     {HELD} connections closed in {ledger['elapsed_ms']} ms: {ledger['by_reason']}")

        server.process.send_signal(signal.SIGTERM)
        server.ends()

    with Program(debug / "echo_server", "--host", "127.0.0.1", "--port", "0", "--json", cwd=work) as server:
        first = server.wait_for(lambda _: True, "a first line")
        check(is_event(first, "listening"), server, "the first line is not the event `listening`")
        check(json.loads(first)["port"] > 0, server, "the port is not told")
        server.process.send_signal(signal.SIGTERM)
        server.ends()
        server.ledger()


def serve(debug, work):
    """An HTTPS server for Python's own client: a file, a response of a length that nobody knows before, and SIGTERM."""
    import ssl
    import urllib.request

    (work / "page.html").write_text("<p>here</p>")
    arguments = ["--port", "0", "--root", str(work), "--json"]
    with Program(debug / "serve", *arguments, cwd=work) as server:
        first = server.wait_for(lambda _: True, "a first line")
        check(is_event(first, "listening"), server, "the first line is not the event `listening`")
        server.wait_for(lambda line: is_event(line, "ca"), "saying that it wrote a certificate")
        url = f"https://localhost:{json.loads(first)['port']}"
        context = ssl.create_default_context(cafile=work / "exeunt-serve-ca.pem")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        for path, expected in (("/page.html", b"<p>here</p>"), ("/stream/2", b"chunk 0\nchunk 1\n"), ("/bytes/3", b"000")):
            with opener.open(url + path, timeout=DEADLINE) as response:
                got = response.read()
            check(got == expected, server, f"{path} is {got!r}")
        server.process.send_signal(signal.SIGTERM)
        server.ends()
        server.ledger()
        served = json.loads(next(line for line in server.lines if is_event(line, "served")))
        check(served["accepted"] == served["completed"] == 3, server, f"3 requests were made, and it says {served}")


def fetch(debug, work):
    """`serve` asked by `fetch`, `seed` and hyper-util's client: one request, many with figures, a refusal."""
    ca = "exeunt-serve-ca.pem"
    with Program(debug / "serve", "--port", "0", "--json", cwd=work) as server:
        port = json.loads(server.wait_for(lambda line: is_event(line, "listening"), "listening"))["port"]
        server.wait_for(lambda line: is_event(line, "ca"), "saying that it wrote a certificate")
        url = f"https://localhost:{port}"

        with Program(debug / "seed", url + "/echo", ca, cwd=work) as seed:
            seed.ends()
            for word in ("Connected: ", "Lost: "):
                check(sum(line.startswith(word) for line in seed.lines) == 1, seed, f"not one line begins with {word!r}")

        with Program(debug / "fetch", url + "/echo", "--ca", ca, "-d", "said", cwd=work) as one:
            one.ends()
            check(one.lines == ["said"], one, "the body is not what was sent")

        with Program(debug / "fetch", url + "/bytes/100", "--ca", ca, "-n", "200", "-c", "8", "--json", cwd=work) as many:
            many.ends()
            responses = [json.loads(line) for line in many.lines if is_event(line, "response")]
            check(len(responses) == 200 and all(each["status"] == 200 and each["bytes"] == 100 for each in responses), many, "not 200 responses")
            check(json.loads(many.lines[-2])["ok"] == 200, many, "the summary does not say 200")
            check(many.ledger()["connected"] <= 8, many, "more than 8 connections")

        for option, version in (("--http1", "HTTP/1.1"), ("--http2", "HTTP/2.0")):
            with Program(debug / "fetch", url + "/bytes/1", "--ca", ca, option, "--json", cwd=work) as spoken:
                spoken.ends()
                responses = [json.loads(line)["version"] for line in spoken.lines if is_event(line, "response")]
                check(responses == [version], spoken, f"it spoke {responses}")

        with Program(debug / "fetch", url + "/status/404", "--ca", ca, "-f", cwd=work) as refused:
            refused.ends(3)
            check(refused.lines == [], refused, "the body of a refusal is written")

        with Program(debug / "fetch", url + "/delay/20", "--ca", ca, "-n", "1000000", "-c", "4", "--json", cwd=work) as stopped:
            stopped.wait_for(lambda line: is_event(line, "response"), "a response")
            stopped.process.send_signal(signal.SIGINT)
            stopped.ends()
            summary = json.loads(stopped.lines[-2])
            check(summary["event"] == "summary" and summary["ok"] > 0 and summary["failed"] == 0, stopped, "no summary of what was done until then")
            stopped.ledger()

        with Program(debug / "hyper_client", url + "/bytes/100", "--ca", ca, "--requests", "6", "--at-a-time", "3", cwd=work) as client:
            client.ends()

        with Program(debug / "awc_client", url + "/bytes/100", "--ca", ca, "--requests", "6", "--at-a-time", "3", cwd=work) as client:
            client.ends()

        server.process.send_signal(signal.SIGTERM)
        server.ends()
    with Program(debug / "fetch", url, "--ca", ca, "--json", cwd=work) as nobody:
        nobody.ends(3)


def starttls(debug, work):
    """STARTTLS and SSLRequest against a server of a few lines: Python's `ssl` on the socket on which it spoke plainly before."""
    import socket
    import ssl

    names = [str(work / name) for name in ("starttls.pem", "starttls.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-out", names[0], "-keyout", names[1]],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*names)

    def smtp(plain):
        words = plain.makefile("rb")
        plain.sendall(b"220 localhost ESMTP\r\n")
        assert words.readline().startswith(b"EHLO ")
        plain.sendall(b"250-localhost\r\n250 STARTTLS\r\n")
        assert words.readline() == b"STARTTLS\r\n"
        plain.sendall(b"220 go ahead\r\n")
        with context.wrap_socket(plain, server_side=True) as secure:
            words = secure.makefile("rb")
            assert words.readline().startswith(b"EHLO ")
            secure.sendall(b"250 localhost\r\n")
            assert words.readline() == b"QUIT\r\n"
            secure.sendall(b"221 bye\r\n")
            secure.unwrap()

    def postgres(plain):
        assert plain.recv(8) == bytes([0, 0, 0, 8, 4, 210, 22, 47])
        plain.sendall(b"S")
        with context.wrap_socket(plain, server_side=True) as secure:
            assert b"user\0exeunt\0" in secure.recv(100)
            secure.sendall(b"R\0\0\0\x08\0\0\0\x05")
            assert secure.recv(5) == b"X\0\0\0\x04"
            secure.unwrap()

    for name, speak in (("smtp", smtp), ("postgres", postgres)):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(DEADLINE)

            def once():
                plain, _ = listening.accept()
                plain.settimeout(DEADLINE)
                speak(plain)

            server = threading.Thread(target=once, daemon=True)
            server.start()
            target = "localhost:%d" % listening.getsockname()[1]
            with Program(debug / "starttls", target, "--protocol", name, "--ca", names[0], cwd=work) as program:
                program.ends()
                for word in ("Connected: ", "Secured: TLSv1.", "Lost: "):
                    check(sum(line.startswith(word) for line in program.lines) == 1, program, f"not one line begins with {word!r}")
                check(any("CN=localhost" in line for line in program.lines), program, "the certificate's subject is not told")
            server.join(DEADLINE)
            check(not server.is_alive(), program, "the server did not finish")


def websocket(debug, work):
    """Both sides of the example: a client that closes, and two that stay, of which one leaves by SIGINT and one is left by the server's SIGTERM."""
    ca = "exeunt-websocket-ca.pem"
    with Program(debug / "websocket", "serve", "--port", "0", "--json", cwd=work) as server:
        port = json.loads(server.wait_for(lambda line: is_event(line, "listening"), "listening"))["port"]
        client = ["connect", f"wss://localhost:{port}/", "--ca", ca, "--json"]

        def closed(program, code):
            line = json.loads(program.wait_for(lambda line: is_event(line, "closed"), "saying that it was closed"))
            check((line["code"], line["clean"]) == (code, True), program, f"it was not closed with {code}")

        with Program(debug / "websocket", *client, "--message", "one", "--message", "two", cwd=work) as one:
            one.ends()
            texts = [json.loads(line)["text"] for line in one.lines if is_event(line, "message")]
            check(texts == ["one", "two"], one, "the answers are not what was sent")
            check(one.ledger()["connected"] == 1, one, "not one connection")
        closed(server, 1000)

        for leaves, how in (("client", signal.SIGINT), ("server", signal.SIGTERM)):
            with Program(debug / "websocket", *client, "--hold", cwd=work) as stays:
                stays.wait_for(lambda line: is_event(line, "message"), "an answer")
                (stays if leaves == "client" else server).process.send_signal(how)
                closed(stays, 1001)
                stays.ends()
                check(stays.ledger()["connected"] == 1, stays, "not one connection")
            closed(server, 1001)
        server.ends()
        check(server.ledger()["connected"] == 3, server, "not three connections")


def refused(debug, work):
    """Against a port where nobody listens `talk` says so by its exit code, and still prints the ledger; so does `fetch`, where that port is its proxy's."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Ours, so nobody else is given it; not listening, so it refuses.
        target = "127.0.0.1:%d" % held.getsockname()[1]
        for name, *arguments in (["talk", target, "--insecure"], ["fetch", "https://behind.example/", "--proxy", target]):
            with Program(debug / name, *arguments, "--json", cwd=work) as program:
                until = time.monotonic() + DEADLINE
                while program.line(until) is not None:
                    pass
                code = program.process.wait(timeout=DEADLINE)
                check(code == 3, program, f"the exit code is {code}, not 3")
                last = program.lines[-1] if program.lines else ""
                check(is_event(last, "ledger"), program, "the last line is not the ledger's event")
                check(json.loads(last)["by_reason"] == {"dial_failed": 1}, program, "the reason is not dial_failed")


def wrong(debug, work):
    """Bad input is told in one sentence on standard error, with exit code 2, before anything is connected to; nothing is on standard output."""
    missing = str(work / "missing.pem")
    for arguments in (
        ["quickstart", "--connections", "none"],
        ["talk"],
        ["talk", "localhost"],
        ["talk", "localhost:4433", "--lines", "-1"],
        ["talk", "localhost:4433", "--ca", missing],
        ["echo_server"],
        ["echo_server", "--port", "65536"],
        ["fetch"],
        ["fetch", "https://localhost/", "-H", "no colon"],
        ["fetch", "ftp://localhost/"],
        ["fetch", "localhost:8443"],
        ["fetch", "https://localhost/", "-d", "@" + missing],
        ["fetch", "https://localhost/", "--proxy", "ftp://user:secret@proxy"],
        ["fetch", "http://localhost/", "--proxy", "localhost:1", "--unix", "socket"],
        ["echo_server", "--port", "0", "--cert", missing, "--key", missing],
        ["starttls"],
        ["starttls", "localhost:25"],
        ["starttls", "localhost:25", "--protocol", "ftp"],
        ["serve"],
        ["serve", "--port", "0", "--root", missing],
        ["websocket"],
        ["websocket", "serve"],
        ["websocket", "connect", "wss://localhost/", "--ca", missing],
    ):
        name, *rest = arguments
        print(f"   {' '.join(arguments)}", flush=True)
        done = subprocess.run([debug / name, *rest], cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
        if done.returncode != 2 or done.stdout or not done.stderr.startswith("error: ") or done.stderr.count("\n") != 1:
            raise Failed(f"{' '.join(arguments)}: exit code {done.returncode}, and it printed:\n{done.stdout}{done.stderr}")


def unread(debug, work):
    """Nobody reads the output: no panic."""
    for name, *arguments in (["quickstart"], ["quickstart", "--json"], ["protocol"], ["owner"], ["talk", "--help"]):
        print(f"   {name} {' '.join(arguments)} >&-", flush=True)
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run([debug / name, *arguments], cwd=work, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=DEADLINE)
        finally:
            os.close(writing)
        if done.returncode != 0 or "panicked" in done.stderr:
            raise Failed(f"{name}: exit code {done.returncode}, and it printed:\n{done.stderr}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1]).resolve()
    debug = target / "debug/examples"
    with tempfile.TemporaryDirectory(prefix="exeunt-ci-") as work:
        work = pathlib.Path(work)
        quickstart(debug, work)
        alone(debug, work, "protocol")
        alone(debug, work, "owner")
        echo(debug, work)
        serve(debug, work)
        fetch(debug, work)
        starttls(debug, work)
        websocket(debug, work)
        refused(debug, work)
        wrong(debug, work)
        unread(debug, work)


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"ci: {error}")
