"""What a provider sends is bounded, however much it sends and whoever calls it."""

import asyncio
from dataclasses import replace

import pytest

from tests.dataplane.providers.wire import MIB, WITHIN_S, Server
from tests.dataplane.providers.wires import streamed
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Protocol
from tollway_dataplane.adapters.answer_bounds import MOST_BYTES
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Upstream

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
# What is under way in the buffers of both ends.
UNDER_WAY = 32 * MIB
PATIENCE_S = 600.0  # in which a busy machine has sent all of it


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_without_an_end_is_none(upstream: Upstream, server: Server, *, stream: bool) -> None:
    """Hardly more of it is read than an answer may have, and its provider sees that nobody listens any more."""
    if stream and server.wire.model.protocol is Protocol.OPENAI:
        pytest.skip("its comments are no part of an answer; see test_openai_upstream.py for the rest")
    if stream and not server.wire.stream_type.startswith("text/event-stream"):
        pytest.skip("a stream that has no comments; it is read by the same client as a whole answer")
    server.is_endless = True
    call = replace(server.call(), timeout_s=PATIENCE_S, idle_s=PATIENCE_S)
    with pytest.raises(UpstreamFault, match="has no end") as caught:
        await (streamed(upstream, call) if stream else upstream.complete(call))
    assert (caught.value.trigger, caught.value.may_have_run) == (FallbackTrigger.SERVER_ERROR, True)
    assert await asyncio.to_thread(server.left.wait, WITHIN_S)
    assert server.sent_bytes <= MOST_BYTES + UNDER_WAY
