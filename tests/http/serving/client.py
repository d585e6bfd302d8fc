"""A client of the example `serve`, by aiohttp.

usage: client.py visit|hammer URL CA_FILE

What it has seen is a JSON object, printed last. Nothing sleeps.
"""

import asyncio
import json
import ssl
import sys

import aiohttp

CLIENTS = 20  # With a connection each.
WARM = 200  # Answers before it is said that the hammering is under way.


async def visit(session, url):
    async def get(path):
        async with session.get(url + path) as response:
            return await response.read()

    async def pieces():
        for piece in range(100):
            yield b"%d" % piece * 1000

    seen = {"bytes": len(await get("/bytes/100000")), "stream": (await get("/stream/2")).decode()}
    body = b"x" * 2_000_000
    async with session.post(url + "/echo", data=body, expect100=True) as response:
        seen["echo"] = await response.read() == body
    async with session.post(url + "/echo", data=pieces()) as response:
        seen["chunked"] = await response.read() == b"".join([piece async for piece in pieces()])
    async with session.head(url + "/bytes/77") as response:
        seen["head"] = response.headers["content-length"]
    async with session.get(url + "/nothing") as response:
        seen["missing"] = response.status
    bodies = await asyncio.gather(*(get(f"/delay/{n}") for n in range(50)))
    seen["together"] = len([body for body in bodies if body.endswith(b"later\n")])
    return seen


async def hammer(session, url):
    """Asks until nobody listens any more."""
    seen = {"answered": 0, "refused": 0, "broken": 0}

    async def client(number):
        # Slow ones between, so that at any moment some are under way.
        paths = ["/bytes/50000", "/delay/40", "/stream/20", "/delay/60", "/echo", "/delay/50"]
        while True:
            path = paths[number % len(paths)]
            number += 1
            begun = False
            try:
                # A method that aiohttp does not repeat by itself, so that what is lost is seen.
                async with session.post(url + path, data=b"x" * 5000) as response:
                    begun = True
                    await response.read()
            except aiohttp.ClientConnectorError:
                return
            except (aiohttp.ClientError, ConnectionError):
                seen["broken" if begun else "refused"] += 1
                continue
            seen["answered"] += 1
            if seen["answered"] == WARM:
                print("hammering", flush=True)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return seen


async def main():
    play, url, ca = sys.argv[1:]
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca), limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        print(json.dumps(await globals()[play](session, url)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
