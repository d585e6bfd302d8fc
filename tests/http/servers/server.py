"""Python's aiohttp as a server: what a session's tests ask for. Usage: server.py CERT KEY; says "listening PORT"."""

import asyncio
import ssl
import sys

from aiohttp import web

TEXT = "to be or not to be, " * 1000


async def hello(_):
    return web.Response(text="hello from aiohttp")


async def echo(request):
    response = web.StreamResponse(headers={"x-method": request.method, "x-type": request.headers.get("content-type", "")})
    await response.prepare(request)
    async for chunk in request.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


async def compressed(request):
    response = web.Response(text=TEXT)
    response.enable_compression(getattr(web.ContentCoding, request.match_info["coding"]))
    return response


async def form(request):
    said = []
    async for part in await request.multipart():
        said.append(f"{part.name} {part.filename} {part.headers.get('content-type')} {len(await part.read())}")
    return web.Response(text="\n".join(said))


async def login(_):
    response = web.HTTPFound("/cookies")
    response.set_cookie("session", "a b", httponly=True, secure=True)
    response.set_cookie("elsewhere", "1", path="/elsewhere")
    raise response


async def cookies(request):
    return web.Response(text=" ".join(f"{name}={value}" for name, value in request.cookies.items()))


async def redirect(_):
    raise web.HTTPTemporaryRedirect("/echo")


async def auth(request):
    return web.Response(text=request.headers.get("authorization", ""))


async def latin(_):
    return web.Response(body="grüße".encode("latin-1"), headers={"content-type": "text/plain; charset=iso-8859-1"})


async def large(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(256):
        await response.write(b"a" * 65536)
    await response.write_eof()
    return response


async def truncated(request):
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b"only this")
    request.transport.close()
    return response


async def aborted(request):
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b"only this")
    request.transport.abort()
    return response


async def never(_):
    await asyncio.Event().wait()


async def main():
    app = web.Application(client_max_size=1 << 30)
    for path, handler in {
        "/hello": hello,
        "/compressed/{coding}": compressed,
        "/auth": auth,
        "/latin": latin,
        "/large": large,
        "/truncated": truncated,
        "/aborted": aborted,
        "/never": never,
        "/login": login,
        "/cookies": cookies,
    }.items():
        app.router.add_get(path, handler)
    app.router.add_route("*", "/echo", echo)
    app.router.add_post("/form", form)
    app.router.add_route("*", "/redirect", redirect)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=300)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print("listening", site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
