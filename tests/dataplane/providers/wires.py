"""All wire formats there are servers for, and who speaks them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.dataplane.providers.anthropic_wire import Anthropic
from tests.dataplane.providers.bedrock_wire import Bedrock
from tests.dataplane.providers.gemini_wire import Gemini
from tests.dataplane.providers.ollama_wire import Ollama
from tests.dataplane.providers.openai_wire import VLLM, Azure, Mistral, OpenAI
from tests.dataplane.providers.wire import Wire
from tollway_api.reach import OWN, Reach
from tollway_api.snapshot import Protocol
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream
from tollway_dataplane.adapters.openai_upstream import open_upstream
from tollway_dataplane.ports import Chunk, Upstream, UpstreamCall

WIRES: tuple[Wire, ...] = (
    OpenAI(),
    VLLM(),
    Azure(),
    Mistral(),
    Anthropic(),
    Gemini(),
    Bedrock(),
    Ollama(),
)


@asynccontextmanager
async def speaking(protocol: Protocol, reach: Reach = OWN) -> AsyncIterator[Upstream]:
    """Ready for the first call."""
    if protocol is Protocol.OPENAI:
        async with open_upstream(reach=reach) as direct:
            yield direct
        return
    through = LiteLLMUpstream(reach)
    await through.load()
    yield through


async def streamed(upstream: Upstream, call: UpstreamCall) -> list[Chunk]:
    async with upstream.stream(call) as chunks:
        return [chunk async for chunk in chunks]


def model_id(wire: Wire) -> str:
    """What a policy calls the model of those that are called directly, whose provider is no part of the request."""
    return {"OpenAI": "openai/", "vLLM": "hosted_vllm/"}.get(wire.name, "") + wire.model.upstream_id
