"""The conformant peer behind (`echo`) or before (`run`) the inspector: `websockets`, which sends back what it is sent."""

import argparse
import asyncio
import logging
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

AGENT = "inspector"


async def send_back(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # that is how most cases end


async def echo(port, options):
    async with serve(send_back, "127.0.0.1", port, **options) as server:
        await server.serve_forever()


async def run(port, suite, options):
    # The suite answers only to its own Host, so the address in the URL is its own and the connection goes elsewhere.
    url = f"ws://127.0.0.1:{suite}"
    options |= {"host": "127.0.0.1", "port": port}
    async with connect(f"{url}/getCaseCount", **options) as connection:
        count = int(await connection.recv())
    if count == 0:
        sys.exit("no such cases")
    for case in range(1, count + 1):
        try:
            async with connect(f"{url}/runCase?case={case}&agent={AGENT}", **options) as connection:
                await send_back(connection)
        except Exception as error:  # the other cases run all the same; the suite's report lacks this one
            print(f"case {case} of {count}: {error!r}", file=sys.stderr)
    async with connect(f"{url}/updateReports?agent={AGENT}", **options) as connection:
        await connection.wait_closed()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["echo", "run"])
    parser.add_argument("--port", type=int, required=True, help="where to listen, or to connect to")
    parser.add_argument("--suite", type=int, help="the port of the suite itself")
    parser.add_argument("--deflate", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    options = {
        "compression": "deflate" if arguments.deflate else None,
        "max_size": 64 * 1024 * 1024,
        "ping_interval": None,
    }
    if arguments.what == "echo":
        asyncio.run(echo(arguments.port, options))
    else:
        asyncio.run(run(arguments.port, arguments.suite, options))


main()
