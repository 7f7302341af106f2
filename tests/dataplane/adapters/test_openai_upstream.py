"""What an OpenAI-compatible endpoint sends is bounded, however much it sends; and how long it is looked for."""

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.dataplanes import Setup, compiled
from tests.servers import served
from tollway_api.meta import ModelName
from tollway_api.reach import OWN
from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.adapters.openai_upstream import OpenAIUpstream, open_upstream
from tollway_dataplane.core.facts import Operation
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import UpstreamCall

MOST_BYTES = 100_000


async def endless(request: Request) -> StreamingResponse:
    """A provider that goes on and on, in a stream's small events or in one body."""
    is_stream = (await request.json()).get("stream")
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "on and on"}}]}\n\n'

    async def events() -> AsyncIterator[bytes]:
        while True:
            yield event if is_stream else b" " * 1_000
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream" if is_stream else "application/json")


async def heard(upstream: OpenAIUpstream, call: UpstreamCall, *, stream: bool) -> int:
    """Bytes of a stream's events."""
    if not stream:
        await upstream.complete(call)
        return 0
    length = 0
    try:
        async with upstream.stream(call) as chunks:
            async for chunk in chunks:
                length += len(chunk.data)
    finally:
        assert length <= MOST_BYTES
    return length


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_an_end_is_none(*, stream: bool) -> None:
    with served(Starlette(routes=[Route("/v1/chat/completions", endless, methods=["POST"])])) as url:
        model = compiled(Setup(f"{url}/v1", f"{url}/v1").objects()).policies[0].models[ModelName("cheap")]
        call = UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=60.0, idle_s=60.0)
        async with open_upstream(most_bytes=MOST_BYTES, reach=OWN) as upstream:
            with pytest.raises(UpstreamFault, match="has no end") as caught:
                await heard(upstream, call, stream=stream)
    assert (caught.value.trigger, caught.value.may_have_run) == (FallbackTrigger.SERVER_ERROR, True)


@pytest.fixture
async def lost_name(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A host whose look-up does not end before the test does."""
    asked = asyncio.Event()

    async def look_up(*_: object, **__: object) -> NoReturn:
        await asked.wait()
        raise OSError("too late")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    yield "http://lost.example.com/v1"
    asked.set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_look_up_that_hangs_is_waited_for_as_long_as_a_connection(
    lost_name: str, *, stream: bool
) -> None:
    model = compiled(Setup(lost_name, lost_name).objects()).policies[0].models[ModelName("cheap")]
    call = UpstreamCall(model, Operation.CHAT, {"messages": []}, timeout_s=600.0, idle_s=600.0)
    async with open_upstream(connect_s=0.05) as upstream:
        with pytest.raises(UpstreamFault, match="could not connect") as caught:
            await heard(upstream, call, stream=stream)
    assert (caught.value.trigger, caught.value.may_have_run) == (FallbackTrigger.CONNECTION, False)
