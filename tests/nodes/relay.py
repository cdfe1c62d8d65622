"""
Brings what comes to one address to another:
``python -m tests.nodes.relay HOST:PORT HOST:PORT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def relay(here: str, there: str) -> None:
    """
    Listen *here* and bring all that comes *there*, and what is said back.
    """

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(
                *_split(there)
            )
            await asyncio.gather(
                _copy(reader, far_writer), _copy(far_reader, writer)
            )

    server = await asyncio.start_server(serve, *_split(here))
    sys.stdout.write("relays\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], sys.argv[2]))
