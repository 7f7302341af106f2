"""Nothing is sent to an address that may not be asked, whatever its name has meant before, and no redirect is followed:
directly and through LiteLLM, by real connections.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.dataplane.providers.wires import speaking, streamed
from tests.servers import served
from tollway_api.meta import ModelName
from tollway_api.reach import OWN, Reach
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import ExtraHeader, Model, Price, Protocol
from tollway_dataplane.core.facts import JsonObject, Operation
from tollway_dataplane.errors import EndpointForbidden, UpstreamFault
from tollway_dataplane.ports import Upstream, UpstreamCall

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
# A name that its owner lets mean what they like; the resolver below says what.
NAME = "rebinding.example.com"
# Each with a client of LiteLLM's of another making; the first goes directly.
IDS = {
    "openai": "gpt-4o",
    "anthropic": "anthropic/claude-haiku-4-5",
    "azure": "azure/gpt-4o",
    "mistral": "mistral/mistral-small-latest",
    "ollama": "ollama_chat/llama3.2",
}


@dataclass
class Inner:
    """A server that is not meant for whoever writes policies."""

    port: int = 0
    seen: list[str] = field(default_factory=list)
    redirect: str = ""

    async def answer(self, request: Request) -> Response:
        self.seen.append(request.url.path)
        if self.redirect:
            return RedirectResponse(self.redirect, 307)
        return Response(b"a secret", 500)


@pytest.fixture
def inner() -> Iterator[Inner]:
    with listening() as found:
        yield found


@contextmanager
def listening() -> Iterator[Inner]:
    found = Inner()
    app = Starlette(routes=[Route("/{path:path}", found.answer, methods=["GET", "POST"])])
    with served(app) as url:
        found.port = int(url.rpartition(":")[2])
        yield found


@pytest.fixture(params=IDS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def protocol_of(provider: str) -> Protocol:
    return Protocol.OPENAI if provider == "openai" else Protocol.LITELLM


@pytest.fixture
async def upstream(provider: str) -> AsyncIterator[Upstream]:
    """Loopback is open, so that what is told apart is what it is called."""
    reach = Reach((*OWN.networks,), (NAME,))
    async with speaking(protocol_of(provider), reach) as upstream:
        yield upstream


def call(provider: str, endpoint: str, messages: list[JsonObject] | None = None) -> UpstreamCall:
    model = Model(
        name=ModelName("m"),
        upstream_id=IDS[provider],
        protocol=protocol_of(provider),
        endpoint=endpoint,
        api_key="sk-test",
        price=Price(1, 1),
        context_window=10_000,
        max_output_tokens=100,
        timeout_ms=5_000,
        api_version="2024-10-21" if provider == "azure" else "",
        extra_headers=(ExtraHeader("x-gateway-key", "another-key"),),
    )
    body: JsonObject = {"messages": messages or [{"role": "user", "content": "Hello?"}], "max_tokens": 10}
    return UpstreamCall(model, Operation.CHAT, body, 5.0, 5.0)


async def fault_of(upstream: Upstream, asked: UpstreamCall, *, stream: bool = False) -> UpstreamFault:
    with pytest.raises(UpstreamFault) as caught:
        await (streamed(upstream, asked) if stream else upstream.complete(asked))
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_address_that_may_not_be_asked_is_sent_nothing(
    upstream: Upstream, provider: str, inner: Inner, stream: bool
) -> None:
    """0.0.0.0 is this machine, on Linux."""
    fault = await fault_of(upstream, call(provider, f"http://0.0.0.0:{inner.port}/v1"), stream=stream)
    assert isinstance(fault, EndpointForbidden)
    assert (fault.kind, fault.trigger) == ("ForbiddenEndpoint", FallbackTrigger.SERVER_ERROR)
    assert not fault.may_have_run
    assert "0.0.0.0" not in fault.message  # noqa: S104 - nothing listens
    assert inner.seen == []


async def test_a_name_that_means_another_address_by_then_is_sent_nothing(
    upstream: Upstream, provider: str, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: it meant what may be asked when it was first looked up."""
    answers = iter(["127.0.0.1"])
    loop, real = asyncio.get_running_loop(), socket.getaddrinfo

    async def resolved(host: object, *arguments: object, **named: object) -> object:
        meant = next(answers, "0.0.0.0") if host == NAME else host  # noqa: S104 - nothing listens
        return await asyncio.to_thread(real, meant, *arguments, **named)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(loop, "getaddrinfo", resolved, raising=False)
    endpoint = f"http://{NAME}:{inner.port}/v1"
    assert (await fault_of(upstream, call(provider, endpoint))).status == 500
    before = len(inner.seen)
    assert before
    # Another connection, which is looked up again.
    with listening() as other:
        fault = await fault_of(upstream, call(provider, f"http://{NAME}:{other.port}/v1"))
        assert isinstance(fault, EndpointForbidden)
        assert other.seen == []
    assert len(inner.seen) == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_redirect_is_not_followed(
    upstream: Upstream, provider: str, inner: Inner, stream: bool
) -> None:
    """It would carry keys along, of which only the usual header would be left out."""
    with listening() as elsewhere:
        inner.redirect = f"http://127.0.0.1:{elsewhere.port}/taken"
        fault = await fault_of(upstream, call(provider, f"http://127.0.0.1:{inner.port}/v1"), stream=stream)
        assert fault.trigger is not None
        assert elsewhere.seen == []
    assert len(inner.seen) == 1


async def test_a_picture_of_a_callers_is_fetched_from_no_such_address(
    upstream: Upstream, provider: str, inner: Inner
) -> None:
    """Where LiteLLM fetches it, because the provider would not: not even where endpoints may be."""
    for host in ("127.0.0.1", "0.0.0.0", "localhost"):  # noqa: S104 - see above
        picture: JsonObject = {
            "type": "image_url",
            "image_url": {"url": f"http://{host}:{inner.port}/picture.png"},
        }
        messages: list[JsonObject] = [{"role": "user", "content": [picture]}]
        await fault_of(upstream, call(provider, f"http://127.0.0.1:{inner.port}/v1", messages))
    assert not any("picture" in path for path in inner.seen)
