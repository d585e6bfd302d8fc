"""What Python's clients do: the scenes of `peers`, for aiohttp (with and without uvloop) and for http.client. Run in the environment that script/bench makes."""

import argparse
import asyncio
import contextlib
import ctypes
import http.client
import json
import os
import ssl
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("client")
    parser.add_argument("scene")
    parser.add_argument("--port", type=int)
    parser.add_argument("--ca")
    for number in ("connections", "busy", "requests", "bytes", "workers"):
        parser.add_argument(f"--{number}", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


class Stretch:
    def __init__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def told(self, count):
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        return {"cpu_us": cpu * 1e6 / count, "wall_us": wall * 1e6 / count}


def tell(figures):
    print(json.dumps(figures), flush=True)


def leave():
    """The figures are told, and how it ends is not this scene's matter."""
    os._exit(0)


class Aiohttp:
    def __init__(self, asked, context):
        import aiohttp

        self.aiohttp = aiohttp
        self.asked = asked
        self.base = f"https://localhost:{asked.port}"
        settings = {"limit": 0, "ssl": context}
        # It cannot be told to keep connections together with this one.
        settings |= {"force_close": True} if asked.scene == "connect" else {"keepalive_timeout": 600}
        if asked.scene == "ends-timeout":
            settings["ssl_shutdown_timeout"] = 2
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=None)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(**settings), timeout=timeout)

    async def get(self, path):
        async with self.session.get(self.base + path) as reply:
            return await reply.read()

    async def gather(self, many):
        async def one(number):
            # By and by, as the others: thousands of handshakes at a time would be a peak of memory that is not given back.
            await asyncio.sleep(0.1 * (number // 64))
            await self.get(f"/gather/{many}")

        await asyncio.gather(*(one(number) for number in range(many)))

    async def play(self):
        asked = self.asked
        match asked.scene:
            case "keepalive":
                await self.gather(asked.connections)
                part = asked.requests // asked.busy
                latencies = []

                async def lane(times):
                    for _ in range(times):
                        began = time.perf_counter()
                        await self.get("/bytes/100")
                        latencies.append(time.perf_counter() - began)

                await asyncio.gather(*(lane(max(1, part // 10)) for _ in range(asked.busy)))
                latencies.clear()
                stretch = Stretch()
                await asyncio.gather(*(lane(part) for _ in range(asked.busy)))
                figures = stretch.told(part * asked.busy)
                if asked.busy == 1:
                    figures["p50_us"] = sorted(latencies)[len(latencies) // 2] * 1e6
                tell(figures)
                leave()
            case "bulk-down" | "bulk-up":
                transfer = self.download if asked.scene == "bulk-down" else self.upload
                await transfer(asked.bytes // 16)
                stretch = Stretch()
                await transfer(asked.bytes)
                figures = stretch.told(asked.bytes / 1e9)
                tell({"cpu_ms_a_gb": figures["cpu_us"] / 1e3, "wall_ms_a_gb": figures["wall_us"] / 1e3})
                leave()
            case "connect":
                for _ in range(max(2, asked.requests // 10)):
                    await self.get("/bytes/100")
                stretch = Stretch()
                for _ in range(asked.requests):
                    await self.get("/bytes/100")
                tell(stretch.told(asked.requests))
                leave()
            case "memory":
                await self.gather(1)
                before = resident()
                await self.gather(asked.connections)
                await asyncio.sleep(2.5)
                kept = resident()
                trim()
                tell({"kb": (kept - before) / asked.connections, "trimmed_kb": (resident() - before) / asked.connections})
                leave()
            case "ends" | "ends-sleep" | "ends-timeout":
                await self.gather(asked.connections)
                await self.session.close()
                if asked.scene == "ends-sleep":
                    # As the manual advises, for the transports to close.
                    await asyncio.sleep(0.250)
            case scene:
                sys.exit(f"python_clients: no scene {scene}")

    async def download(self, count):
        async with self.session.get(f"{self.base}/bytes/{count}") as reply:
            async for piece in reply.content.iter_any():
                count -= len(piece)
        assert count == 0, "a body of another length"

    async def upload(self, count):
        piece = bytes(64 * 1024)

        async def pieces():
            for begin in range(0, count, len(piece)):
                yield piece[: count - begin]

        async with self.session.post(self.base + "/upload", data=pieces(), headers={"content-length": str(count)}) as reply:
            await reply.read()


def trim():
    """Has glibc give back what it keeps; elsewhere nothing."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def resident():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(float(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def http_client(asked, context):
    """The standard library's client: each connection closed as its manual says."""
    connections = []
    for _ in range(asked.connections):
        connection = http.client.HTTPSConnection("localhost", asked.port, context=context)
        connection.request("GET", "/bytes/100")
        connection.getresponse().read()
        connections.append(connection)
    for connection in connections:
        connection.close()


def main():
    asked = arguments()
    context = ssl.create_default_context(cafile=asked.ca)
    if asked.client == "http.client":
        return http_client(asked, context)

    async def play():
        await Aiohttp(asked, context).play()

    if asked.client == "aiohttp-uvloop":
        import uvloop

        return uvloop.run(play())
    return asyncio.run(play())


main()
