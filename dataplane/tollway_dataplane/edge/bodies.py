"""Reads a request's body: bounded in size and time, and only when it says that it is JSON."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from tollway_dataplane.errors import Refusal, RefusalCode


async def read_body(request: Request, most_bytes: int, deadline_s: float) -> bytes:
    """Raises Refusal 415, 413 or 408."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        message = f"the body is {media_type[:64]!r}; send JSON with the header content-type: application/json"
        raise Refusal(415, RefusalCode.UNSUPPORTED_MEDIA_TYPE, message)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise _too_large(most_bytes)
                chunks.append(chunk)
    except TimeoutError:
        message = f"the body did not arrive within {deadline_s:g} seconds"
        raise Refusal(408, RefusalCode.REQUEST_TIMEOUT, message, headers={"connection": "close"}) from None
    except ClientDisconnect:
        raise asyncio.CancelledError from None
    return b"".join(chunks)


def _too_large(most_bytes: int) -> Refusal:
    message = f"the body is larger than {most_bytes} bytes"
    return Refusal(413, RefusalCode.TOO_LARGE, message, headers={"connection": "close"})
