"""Python's websockets, as a server and as a client.

usage: by_websockets.py serve CERT KEY    says "listening PORT", and of each WebSocket "closed CODE REASON"
       by_websockets.py close|stay URL CA says "echoed", and when it is over "closed CODE REASON"
"""

import asyncio
import ssl
import sys

import websockets


def told(socket):
    print("closed", socket.close_code, socket.close_reason or "-", flush=True)


async def serve(certificate, key):
    async def answer(socket):
        if socket.path == "/close":
            await socket.send("last words")
            await socket.close(4000, "bye")
        elif socket.path == "/abort":
            await socket.send("last words")
            socket.transport.abort()
        else:
            try:
                async for message in socket:
                    await socket.send([message[:1], message[1:]] if len(message) > 1 else message)
            except websockets.ConnectionClosed:
                pass  # By a code that is neither 1000 nor 1001.
        await socket.wait_closed()
        told(socket)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # It grants permessage-deflate to whoever offers it, as it does by itself.
    async with websockets.serve(answer, "127.0.0.1", 0, ssl=context, subprotocols=["v2", "v1"]) as server:
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


async def ask(url, ca, closes):
    context = ssl.create_default_context(cafile=ca)
    # It offers permessage-deflate, as it does by itself.
    async with websockets.connect(url, ssl=context, subprotocols=["v3", "v1"], ping_interval=None) as socket:
        assert socket.subprotocol == "v1", socket.subprotocol
        for message in ["", "grüße", b"", b"\x00\xff" * 500_000, ["in ", "three ", "pieces"]]:
            await socket.send(message)
            expected = "".join(message) if isinstance(message, list) else message
            assert await socket.recv() == expected
        await (await socket.ping(b"there?"))
        print("echoed", flush=True)
        if closes:
            await socket.close(4001, "done")
        await socket.wait_closed()
        told(socket)


mode, *arguments = sys.argv[1:]
asyncio.run(serve(*arguments) if mode == "serve" else ask(*arguments, closes=mode == "close"))
