"""Python's aiohttp, as a server and as a client of WebSockets.

usage: by_aiohttp.py serve CERT KEY    says "listening PORT", and of each WebSocket "closed CODE REASON"
       by_aiohttp.py close|stay URL CA says "echoed", and when it is over "closed CODE REASON"
"""

import asyncio
import ssl
import sys

import aiohttp
from aiohttp import web


def told(code, reason):
    print("closed", code, reason or "-", flush=True)


async def answer(request):
    socket = web.WebSocketResponse(protocols=["v2", "v1"])
    await socket.prepare(request)
    if request.path == "/close":
        await socket.send_str("last words")
        await socket.close(code=4000, message=b"bye")
    elif request.path == "/abort":
        await socket.send_str("last words")
        request.transport.abort()
    else:
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
    told(socket.close_code, "")
    return socket


async def serve(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print("listening", site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()


async def ask(url, ca, closes):
    context = ssl.create_default_context(cafile=ca)
    async with aiohttp.ClientSession() as session:
        # It offers permessage-deflate.
        async with session.ws_connect(url, ssl=context, protocols=["v3", "v1"], compress=15, autoclose=True) as socket:
            assert socket.protocol == "v1", socket.protocol
            for message in ["", "grüße"]:
                await socket.send_str(message)
                assert await socket.receive_str() == message
            for message in [b"", b"\x00\xff" * 500_000]:
                await socket.send_bytes(message)
                assert await socket.receive_bytes() == message
            print("echoed", flush=True)
            if closes:
                await socket.close(code=4001, message=b"done")
                return told(socket.close_code, "")
            message = await socket.receive()
            assert message.type == aiohttp.WSMsgType.CLOSE, message
            told(message.data, message.extra)


mode, *arguments = sys.argv[1:]
asyncio.run(serve(*arguments) if mode == "serve" else ask(*arguments, closes=mode == "close"))
