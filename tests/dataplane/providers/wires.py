"""All wire formats there are servers for."""

from tests.dataplane.providers.anthropic_wire import Anthropic
from tests.dataplane.providers.bedrock_wire import Bedrock
from tests.dataplane.providers.gemini_wire import Gemini
from tests.dataplane.providers.ollama_wire import Ollama
from tests.dataplane.providers.openai_wire import VLLM, Azure, Mistral, OpenAI
from tests.dataplane.providers.wire import Wire
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


async def streamed(upstream: Upstream, call: UpstreamCall) -> list[Chunk]:
    async with upstream.stream(call) as chunks:
        return [chunk async for chunk in chunks]


def model_id(wire: Wire) -> str:
    """What a policy calls the model of those that are called directly, whose provider is no part of the request."""
    return {"OpenAI": "openai/", "vLLM": "hosted_vllm/"}.get(wire.name, "") + wire.model.upstream_id
