"""A TLS peer of Python's `asyncio`: a protocol on a transport. It does what the lines on its stdin say, and tells on stdout what it is called back with.

usage: puppet_asyncio.py server CERT KEY CA VERSION
       puppet_asyncio.py client PORT CA VERSION
"""
import asyncio
import socket
import ssl
import struct
import sys

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def say(*words):
    print(*words, flush=True)


class Puppet(asyncio.Protocol):
    def __init__(self):
        self.made = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.made.set_result(None)
        self.transport = transport
        self.left = 0
        self.held = b""
        say("HANDSHAKEN", transport.get_extra_info("ssl_object").version())

    def data_received(self, data):
        self.held += data
        self.go_on()

    def go_on(self):
        taken, self.held = self.held[: self.left], self.held[self.left :]
        if taken:
            self.transport.write(taken)
            self.left -= len(taken)
            if self.left == 0:
                say("ECHOED")

    def eof_received(self):
        say("EOF")

    def connection_lost(self, error):
        say("LOST", error if error is None else type(error).__name__)

    def echo(self, count):
        self.left = int(count)
        self.go_on()

    def close(self):
        self.transport.close()

    def fin(self):
        """No close_notify; asyncio closes the socket."""
        self.transport.abort()

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


async def main(role, arguments):
    loop = asyncio.get_running_loop()
    puppet = Puppet()
    if role == "server":
        cert, key, _, version = arguments[:4]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    else:
        port, ca, version = arguments[:3]
        context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    if role == "server":
        server = await loop.create_server(lambda: puppet, "127.0.0.1", 0, ssl=context)
        say("LISTENING", "127.0.0.1:%d" % server.sockets[0].getsockname()[1])
    else:
        try:
            await loop.create_connection(lambda: puppet, "127.0.0.1", int(port), ssl=context, server_hostname="localhost")
        except OSError as error:
            say("FAILED", getattr(error, "reason", None) or type(error).__name__)
            return
    # In TLS 1.3 a client may be done before its server: what it is told must wait.
    await puppet.made
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        command, *more = line.decode().split()
        getattr(puppet, command)(*more)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
