"""A TLS peer of Python's `ssl` with blocking sockets. It does what the lines on its stdin say, in order, and tells on stdout what came of each.

usage: puppet.py server CERT KEY CA VERSION [demand] [alpn=NAME]
       puppet.py client PORT CA VERSION [alpn=NAME]
       puppet.py plain [PORT]        a socket without TLS: a server, or a client of PORT
"""
import socket
import ssl
import struct
import sys

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def say(*words):
    print(*words, flush=True)


def reason(error):
    return getattr(error, "reason", None) or type(error).__name__


class Puppet:
    def __init__(self, role, arguments):
        wishes = dict((wish.split("=") + [""])[:2] for wish in arguments)
        self.server = self.context = self.port = None
        if role == "plain":
            self.port = int(arguments[0]) if arguments else None
        elif role == "server":
            cert, key, ca, version = arguments[:4]
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert, key)
            if "demand" in wishes:
                self.context.verify_mode = ssl.CERT_REQUIRED
                self.context.load_verify_locations(ca)
        else:
            self.port, ca, version = int(arguments[0]), arguments[1], arguments[2]
            self.context = ssl.create_default_context(cafile=ca)
        if self.context:
            self.context.minimum_version = self.context.maximum_version = VERSIONS[version]
        if "alpn" in wishes:
            self.context.set_alpn_protocols([wishes["alpn"]])
        if self.port is None:
            self.server = socket.create_server(("127.0.0.1", 0))
            say("LISTENING", "127.0.0.1:%d" % self.server.getsockname()[1])

    def meet(self, session=None):
        raw = self.server.accept()[0] if self.server else socket.create_connection(("127.0.0.1", self.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = raw
        say("MET")
        if not self.context:
            return
        name = {"server_side": True} if self.server else {"server_hostname": "localhost", "session": session}
        self.peer = self.context.wrap_socket(raw, do_handshake_on_connect=True, suppress_ragged_eofs=False, **name)
        say("HANDSHAKEN", self.peer.version(), self.peer.selected_alpn_protocol(), "resumed=%s" % self.peer.session_reused)

    def echo(self, count):
        left = int(count)
        while left:
            data = self.peer.recv(min(left, 65536))
            if not data:
                raise EOFError
            left -= len(data)
            self.peer.sendall(data)
        say("ECHOED", count)

    def send(self, count):
        self.peer.sendall(b"p" * int(count))
        say("SENT", count)

    def end(self):
        """Reads to the end, whatever it is."""
        total = 0
        try:
            while data := self.peer.recv(65536):
                total += len(data)
            say("END close_notify after", total)
        except (ssl.SSLEOFError, EOFError):
            say("END fin after", total)

    def close(self):
        # By now a client has read its tickets; after `unwrap` it knows of none.
        self.session = self.peer.session
        self.peer.unwrap()
        self.peer.close()
        say("CLOSED")

    def fin(self):
        """FIN without close_notify; `SSLSocket.shutdown` would forget the TLS state."""
        socket.socket.shutdown(self.peer, socket.SHUT_WR)
        say("FIN")

    def wait(self):
        """Until the other side has said something, so that it knows that it is connected."""
        self.peer.recv(1)

    def reset(self):
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()
        say("RESET")

    def garbage(self):
        self.peer.sendall(b"220 mail.example.com ESMTP, and certainly no TLS\r\n" * 4)
        say("GARBAGE")

    def crowd(self, count):
        """So many more connections, to be sent to at once."""
        self.all = [self.peer]
        for _ in range(int(count)):
            self.meet()
            self.all.append(self.peer)
        say("CROWDED")

    def send_all(self, count):
        for self.peer in self.all:
            self.send(count)
        say("ALL SENT")

    def again(self):
        """Another connection; as a client, with the session of the last one."""
        self.meet(None if self.server else self.session)


def main():
    puppet = Puppet(sys.argv[1], sys.argv[2:])
    try:
        puppet.meet()
        for line in sys.stdin:
            command, *arguments = line.split()
            getattr(puppet, command)(*arguments)
    except OSError as error:
        say("FAILED", reason(error))


main()
