"""The stage: an echo_server whose ends are read as they come, and a client that can misbehave below TLS."""
import json
import queue
import signal
import socket
import struct
import subprocess
import tempfile
import threading

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, AlertLevel
from tlslite.errors import TLSAbruptCloseError, TLSLocalAlert, TLSRemoteAlert
from tlslite.messages import Alert, Message

PATIENCE = 20


class Server:
    """echo_server --json, until `stop`."""

    def __init__(self, program, *options):
        # It writes its CA where it runs.
        self.home = tempfile.TemporaryDirectory()
        command = [program, "--port", "0", "--json", "--drain", "2000", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=self.home.name, text=True)
        self.events = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = self.event("listening")["port"]
        self.seen = 0

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put({"event": "the end of its output"})

    def event(self, kind, within=PATIENCE):
        while True:
            event = self.events.get(timeout=within)
            if event["event"] == kind:
                return event
            if event["event"] not in ("ca", "lost"):
                raise RuntimeError(f"{kind} was to come, not {event}")

    def lost(self, within=PATIENCE):
        event = self.event("lost", within)
        self.seen += 1
        return event

    def all_lost(self, quiet=0.3):
        """The ends of a script that made connections of its own: until none comes for a moment."""
        reasons = {}
        while True:
            try:
                event = self.lost(quiet)
            except queue.Empty:
                return reasons
            reasons[event["reason"]] = reasons.get(event["reason"], 0) + 1

    def stop(self):
        """SIGTERM, and what is wrong with the ledger or the exit code."""
        self.process.send_signal(signal.SIGTERM)
        while True:
            event = self.events.get(timeout=PATIENCE)
            if event["event"] == "ledger":
                break
            self.seen += event["event"] == "lost"
        code = self.process.wait(PATIENCE)
        self.home.cleanup()
        wrong = []
        if event["verdict"] != "clean" or code != 0:
            wrong.append(f"the verdict is {event['verdict']}, the exit code {code}")
        if not event["admitted"] == event["lost"] == sum(event["by_reason"].values()) == self.seen:
            wrong.append(f"admitted {event['admitted']}, lost {event['lost']}, told {self.seen}: {event['by_reason']}")
        return event, wrong


class Bender:
    """A socket that changes the last byte of what is sent, once, when it is told to."""

    def __init__(self, sock):
        self.sock, self.armed = sock, False

    def _bend(self, data):
        if self.armed:
            self.armed = False
            data = bytearray(data)
            data[-1] ^= 1
        return data

    def send(self, data):
        return self.sock.send(self._bend(data))

    def sendall(self, data):
        return self.sock.sendall(self._bend(data))

    def __getattr__(self, name):
        return getattr(self.sock, name)


class Client:
    def __init__(self, port, version=None, settings=None):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(PATIENCE)
        self.bender = Bender(self.sock)
        self.tls = TLSConnection(self.bender)
        self.tls.closeSocket = False
        self.settings = settings or HandshakeSettings()
        if version:
            self.settings.minVersion = self.settings.maxVersion = version

    def shake_hands(self):
        self.tls.handshakeClientCert(settings=self.settings)
        return self

    def echo(self, data=b"ping"):
        self.tls.write(bytearray(data))
        got = self.tls.read(max=len(data), min=len(data))
        assert got == data, f"{len(data)} bytes were sent, {len(got)} came back"

    def raw(self, data):
        self.sock.sendall(data)

    def record(self, kind, data):
        """One encrypted record, whatever its size."""
        for _ in self.tls._recordLayer.sendRecord(Message(kind, bytearray(data))):
            pass

    def message(self, message):
        for _ in self.tls._sendMsg(message):
            pass

    def alert(self, description, level=AlertLevel.fatal):
        self.message(Alert().create(description, level))

    def close_notify(self):
        self.alert(AlertDescription.close_notify, AlertLevel.warning)

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def comes(self):
        """What the server says next, in a word."""
        try:
            data = self.tls.read(max=1 << 16, min=1)
            return f"{len(data)} bytes" if data else "close_notify"
        except TLSRemoteAlert as alert:
            return AlertDescription.toStr(alert.description)
        except TLSLocalAlert as alert:
            return f"(we say {AlertDescription.toStr(alert.description)})"
        except TLSAbruptCloseError:
            return "FIN"
        except ConnectionResetError:
            return "RST"
        except TimeoutError:
            return "nothing"

    def raw_comes(self):
        """The same below TLS: the alert in the clear, or the end."""
        try:
            got = b""
            while True:
                more = self.sock.recv(1 << 16)
                got += more
                if not more:
                    break
        except ConnectionResetError:
            pass
        return AlertDescription.toStr(got[6]) if got[:1] == b"\x15" and len(got) >= 7 else f"{len(got)} bytes, end"
