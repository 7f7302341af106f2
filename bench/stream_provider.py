"""`python -m bench.stream_provider PORT`: a provider that answers every request with a stream of chunks at a steady
pace, each of which says when it was sent by the clock that processes of one machine share. The first goes out at once.
"""

import asyncio
import sys
import time
from typing import Final

import uvloop

from bench.open_loop import is_whole

CHUNKS: Final = 50
PACE_S: Final = 0.02
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK: Final = (
    'data: {"id":"bench","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":'
    '[{"index":0,"delta":%s,"finish_reason":%s}]%s}\n\n'
)
_USAGE: Final = ',"usage":{"prompt_tokens":180,"completion_tokens":50,"total_tokens":230}'


def _event(text: str) -> bytes:
    event = text.encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One kept-alive connection."""
    received = b""
    while data := await reader.read(1 << 16):
        received += data
        if not is_whole(received):
            continue
        received = b""
        writer.write(_HEAD)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(CHUNKS):
            await asyncio.sleep(began + number * PACE_S - loop.time())
            delta = f'{{"role":"assistant","content":"{time.monotonic_ns()} "}}'
            writer.write(_event(_CHUNK % (delta, "null", "")))
        writer.write(_event(_CHUNK % ("{}", '"stop"', _USAGE)) + _event("data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
