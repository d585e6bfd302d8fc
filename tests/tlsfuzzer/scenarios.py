"""What a client may do to an echo server, and what is to come of it: a name, what comes, the reason of the `Lost`.

The functions take a port and answer with what the server said. What is expected of that and of the reason may be one of several.
"""
import struct

from tlslite.api import HandshakeSettings
from tlslite.constants import AlertDescription, AlertLevel, ContentType
from tlslite.errors import TLSRemoteAlert
from tlslite.messages import ClientHello, KeyUpdate

from stage import Client

TLS12, TLS13 = (3, 3), (3, 4)
PLAYS = []


def play(name, came, reason, versions=(TLS12, TLS13)):
    def add(function):
        for version in versions:
            words = name if len(versions) == 1 else f"{name} ({'1.2' if version == TLS12 else '1.3'})"
            expected = [came] if isinstance(came, str) else came
            if isinstance(came, dict):
                expected = [came[version]]
            reasons = [reason] if isinstance(reason, str) else reason
            PLAYS.append((words, lambda port: function(port, version), expected, reasons))
        return function

    return add


def open_(port, version):
    client = Client(port, version).shake_hands()
    client.echo()
    return client


# How a connection ends.


@play("echo, close_notify", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    client.close_notify()
    return client.comes()


@play("echo, close_notify and FIN at once", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    client.close_notify()
    client.fin()
    return client.comes()


@play("echo, bare FIN", "close_notify", "truncated")
def _(port, version):
    client = open_(port, version)
    client.fin()
    return client.comes()


@play("half a record, FIN", "close_notify", "truncated")
def _(port, version):
    client = open_(port, version)
    client.raw(b"\x17\x03\x03\x01\x00half of it")
    client.fin()
    return client.comes()


@play("echo, RST", "-", "reset")
def _(port, version):
    open_(port, version).reset()
    return "-"


@play("close_notify byte by byte", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    pieces = []
    client.bender.sendall = pieces.append
    client.bender.send = lambda data: pieces.append(bytes(data)) or len(data)
    client.close_notify()
    for byte in b"".join(bytes(piece) for piece in pieces):
        client.raw(bytes([byte]))
    return client.comes()


@play("data after close_notify", ["close_notify", "RST"], ["closed_by_peer"])
def _(port, version):
    client = open_(port, version)
    client.close_notify()
    came = client.comes()
    try:
        client.record(ContentType.application_data, b"too late")
    except OSError:
        pass
    return came


# Alerts.


@play("a fatal alert", "FIN", "alert")
def _(port, version):
    client = open_(port, version)
    client.alert(AlertDescription.handshake_failure)
    return client.comes()


@play("the warning user_canceled, then an echo", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    client.alert(AlertDescription.user_canceled, AlertLevel.warning)
    client.echo(b"still here")
    client.close_notify()
    return client.comes()


@play("an alert of one byte", {TLS12: "unexpected_message", TLS13: "unexpected_message"}, "tls_error")
def _(port, version):
    client = open_(port, version)
    client.record(ContentType.alert, b"\x02")
    return client.comes()


@play("an alert in the clear after the handshake", ["bad_record_mac", "unexpected_message", "record_overflow", "FIN"], ["tls_error", "alert"])
def _(port, version):
    client = open_(port, version)
    client.raw(b"\x15\x03\x03\x00\x02\x02\x28")
    return client.comes()


# Records.


@play("20 empty records, then an echo", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    for _ in range(20):
        client.record(ContentType.application_data, b"")
    client.echo()
    client.close_notify()
    return client.comes()


@play("a record of 16384 bytes", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    client.record(ContentType.application_data, bytes(16384))
    assert len(client.tls.read(max=16384, min=16384)) == 16384
    client.close_notify()
    return client.comes()


@play("a record of 16385 bytes", ["record_overflow"], "tls_error")
def _(port, version):
    client = open_(port, version)
    client.record(ContentType.application_data, bytes(16385))
    return client.comes()


@play("a length of 65535 in the clear", "record_overflow", "tls_error")
def _(port, version):
    client = open_(port, version)
    client.raw(b"\x17\x03\x03\xff\xff")
    return client.comes()


@play("1 MiB there and back", "close_notify", "closed_by_peer")
def _(port, version):
    client = open_(port, version)
    for _ in range(16):
        client.echo(bytes(range(256)) * 256)
    client.close_notify()
    return client.comes()


@play("a record with one bit changed", "bad_record_mac", "tls_error")
def _(port, version):
    client = open_(port, version)
    client.bender.armed = True
    client.record(ContentType.application_data, b"bent")
    return client.comes()


@play("plaintext after the handshake", ["bad_record_mac", "record_overflow"], "tls_error")
def _(port, version):
    client = open_(port, version)
    client.raw(b"\x17\x03\x03\x00\x20" + b"this is no record of a session.." )
    return client.comes()


@play("a record of a kind that there is not", "unexpected_message", "tls_error")
def _(port, version):
    client = open_(port, version)
    client.record(99, b"what is this")
    return client.comes()


@play("HTTP in the middle of a session", ["protocol_version", "unexpected_message", "bad_record_mac", "record_overflow"], "tls_error")
def _(port, version):
    client = open_(port, version)
    client.raw(b"GET / HTTP/1.0\r\n\r\n")
    return client.comes()


# Handshake messages in a session.


@play("a key update and an answer to it", "close_notify", "closed_by_peer", [TLS13])
def _(port, version):
    client = open_(port, version)
    for _ in client.tls.send_keyupdate_request(1):
        pass
    client.echo(b"with new keys")
    client.close_notify()
    return client.comes()


@play("a key update of a kind that there is not", ["illegal_parameter", "decode_error"], "tls_error", [TLS13])
def _(port, version):
    client = open_(port, version)
    client.message(KeyUpdate().create(7))
    return client.comes()


@play("a change_cipher_spec after the handshake", "unexpected_message", "tls_error")
def _(port, version):
    client = open_(port, version)
    client.record(ContentType.change_cipher_spec, b"\x01")
    return client.comes()


@play("half a handshake message, close_notify", ["FIN", "RST"], "closed_by_peer", [TLS13])
def _(port, version):
    client = open_(port, version)
    client.record(ContentType.handshake, b"\x18\x00\x00\x01")
    client.close_notify()
    return client.comes()


@play("renegotiation", ["no_renegotiation"], ["closed_by_peer", "tls_error", "truncated"], [TLS12])
def _(port, version):
    client = open_(port, version)
    client.message(ClientHello().create(TLS12, bytearray(32), bytearray(0), [0xC02B, 0xC02F]))
    return client.comes()


# Before and in the handshake.


@play("FIN at once", "0 bytes, end", "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.fin()
    return client.raw_comes()


@play("RST at once", "-", "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.reset()
    return "-"


@play("half a client hello, FIN", "0 bytes, end", "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03")
    client.fin()
    return client.raw_comes()


@play("silence", "0 bytes, end", "handshake_timeout", [TLS12])
def _(port, _version):
    return Client(port).raw_comes()


@play("HTTP", ["0 bytes, end", "protocol_version", "unexpected_message"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"GET / HTTP/1.0\r\n\r\n")
    return client.raw_comes()


@play("bytes of nothing", ["0 bytes, end", "protocol_version", "unexpected_message"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(bytes(64))
    return client.raw_comes()


@play("an SSLv2 hello", ["0 bytes, end", "protocol_version", "handshake_failure", "unexpected_message"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80" + bytes(34))
    return client.raw_comes()


@play("an alert in place of a hello", ["0 bytes, end", "unexpected_message"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"\x15\x03\x01\x00\x02\x02\x28")
    client.fin()
    return client.raw_comes()


@play("an empty record of the handshake", ["unexpected_message", "decode_error", "0 bytes, end"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"\x16\x03\x01\x00\x00")
    client.fin()
    return client.raw_comes()


@play("a client hello of 16 MiB, as it says", ["illegal_parameter", "record_overflow", "decode_error"], "handshake_failed", [TLS12])
def _(port, _version):
    client = Client(port)
    client.raw(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")
    return client.raw_comes()


def refused(port, settings):
    client = Client(port, settings=settings)
    try:
        client.shake_hands()
        return "a handshake"
    except TLSRemoteAlert as alert:
        return AlertDescription.toStr(alert.description)


@play("a client that speaks TLS 1.1 at most", "protocol_version", "handshake_failed", [TLS12])
def _(port, _version):
    settings = HandshakeSettings()
    settings.minVersion, settings.maxVersion = (3, 1), (3, 2)
    return refused(port, settings)


@play("a client that has no cipher of ours", "handshake_failure", "handshake_failed", [TLS12])
def _(port, version):
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = version
    settings.keyExchangeNames = ["dhe_rsa"]
    settings.cipherNames = ["3des"]
    return refused(port, settings)


@play("a client hello in records of one byte", "close_notify", "closed_by_peer")
def _(port, version):
    client = Client(port, version)
    send, first = client.sock.sendall, []

    def cut(data):
        data = bytes(data)
        if not first and data[:1] == b"\x16":
            first.append(True)
            body = data[5:]
            data = b"".join(struct.pack("!BHH", 22, 0x0301, 1) + body[n:n + 1] for n in range(len(body)))
        send(data)
        return len(data)

    client.bender.send = client.bender.sendall = cut
    client.shake_hands()
    client.echo()
    client.close_notify()
    return client.comes()


@play("a Finished with one bit changed", "bad_record_mac", "handshake_failed")
def _(port, version):
    client = Client(port, version)
    send, seen = client.sock.sendall, []

    def bend(data):
        data = bytearray(data)
        # The Finished is the first that is encrypted, in what is sent with the change_cipher_spec or after it.
        if seen == [False] or (data[0] == 20 and len(data) > 6):
            data[-1] ^= 1
            seen.append(True)
        elif data[0] == 20:
            seen.append(False)
        send(data)
        return len(data)

    client.bender.send = client.bender.sendall = bend
    try:
        client.shake_hands()
        return client.comes()
    except TLSRemoteAlert as alert:
        return AlertDescription.toStr(alert.description)
