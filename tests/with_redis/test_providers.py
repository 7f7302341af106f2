"""A whole data plane in front of a server of each provider's format: what callers get and what they pay."""

import pytest

from tests.conftest import Start
from tests.dataplane.providers.bedrock_wire import Bedrock
from tests.dataplane.providers.wire import KEY, TEXT, Failure, Server, Wire, serving
from tests.dataplane.providers.wires import model_id
from tests.dataplanes import ACME_KEY, Running, Setup, secret
from tests.servers import Provider

PROMPT = "What is a lighthouse?"
PRICING = {"input": "1", "output": "5", "cachedInput": "0.1", "cacheWrite": "1.25"}
# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]


def model_of(wire: Wire, url: str) -> dict[str, object]:
    """As a policy names it."""
    return {
        "model": model_id(wire),
        "endpoint": url,
        "credentialsRef": {"name": "provider"},
        "pricing": PRICING,
        **({"aws": {"region": "us-east-1"}} if wire.name == "Amazon Bedrock" else {}),
    }


@pytest.fixture
async def gateway(start: Start, setup: Setup, server: Server) -> Running:
    model = model_of(server.wire, server.url)
    return await start(setup.but(cheap_model=model, others=(secret("provider", KEY),)))


async def test_an_answer_comes_back_is_paid_for_and_remembered(gateway: Running, server: Server) -> None:
    reply = await gateway.ask(PROMPT)
    assert (reply.status, reply.content) == (200, "".join(TEXT)), reply.body
    said = server.wire.telling(server.said)
    fresh = said.prompt - said.cached - said.written
    nano = fresh * 1_000 + said.cached * 100 + said.written * 1_250 + said.answer * 5_000
    assert float(reply.headers["x-tollway-cost-usd"]) == pytest.approx(nano / 1e9)
    assert (await gateway.ask(PROMPT)).source == "exact"
    (seen,) = server.seen
    assert server.wire.key_in(seen.headers) == KEY
    assert ACME_KEY not in str(seen)


async def test_a_stream_comes_back_to_the_official_client(gateway: Running, server: Server) -> None:
    stream = await gateway.acme.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        stream_options={"include_usage": True},
    )
    pieces, tokens = [], 0
    async for chunk in stream:
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        tokens = chunk.usage.prompt_tokens if chunk.usage else tokens
    assert (pieces, tokens) == (list(TEXT), server.said.prompt)
    assert (await gateway.ask(PROMPT)).source == "exact"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_provider_that_is_busy_is_fallen_back_from(
    gateway: Running, server: Server, rich: Provider, stream: bool
) -> None:
    server.failure = server.wire.failures["busy"]
    reply = await gateway.ask(PROMPT, stream=stream)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "rich")
    assert (len(server.seen), rich.total) == (1, 1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_parameter_that_is_left_out_is_named_in_a_header(
    start: Start, setup: Setup, cheap: Provider, stream: bool
) -> None:
    model = {"model": "openai/gpt-5-mini"}
    gateway = await start(setup.but(cheap_model=model))
    reply = await gateway.ask(PROMPT, more={"temperature": 0.2, "seed": 1, "max_tokens": 50}, stream=stream)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "cheap")
    assert reply.headers["x-tollway-dropped-parameters"] == "temperature"
    body = cheap.last_body()
    assert (body["seed"], body["max_completion_tokens"]) == (1, 50)
    assert not body.keys() & {"temperature", "max_tokens"}
    await gateway.swap(setup.but(cheap_model=model | {"unknownParameters": "Refuse"}))
    reply = await gateway.ask(f"{PROMPT} Really?", more={"temperature": 0.2}, stream=stream)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "does not know temperature" in reply.error["message"]


async def test_no_key_of_ours_is_told_to_anybody(start: Start, setup: Setup) -> None:
    """Although a provider repeats all that it was sent, and the caller tries to have its own headers sent."""
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "plain words of amazon"}
    with serving(Bedrock()) as server:
        model = model_of(server.wire, server.url) | {
            "credentialsRef": None,
            "aws": {"region": "us-east-1", "credentialsRef": {"name": "amazon"}},
            "extraHeaders": [
                {"name": "x-gateway", "secretRef": {"name": "gateway"}},
                {"name": "x-team", "value": "search"},
            ],
            "extraBody": {"tone": "polite"},
        }
        del model["credentialsRef"]
        amazon = {**secret("amazon", ""), "stringData": keys}
        others = (amazon, secret("gateway", "plain words of a gateway"))
        gateway = await start(setup.but(cheap_model=model, others=others))
        secrets = [*keys.values(), "plain words of a gateway"]
        server.failure = Failure(400, {"message": f"Refused: {' and '.join(secrets)}."})
        more = {"extra_headers": {"x-gateway": "theirs", "x-team": "theirs"}, "tone": "rude"}
        body = b'{"messages": [{"role": "user", "content": "Hi?"}], "tone": "rude", "extra_headers": {"x-team": "a"}}'
        replies = [
            await gateway.ask(PROMPT, more=more),
            await gateway.post(
                "/v1/chat/completions", body, headers={"x-gateway": "theirs", "x-team": "theirs"}
            ),
        ]
        for reply in replies:
            assert (reply.status, reply.error["code"]) == (400, "invalid_request")
        told = "".join(map(str, [replies, gateway.log.getvalue(), await gateway.metrics()]))
        assert "Refused: " in told
        assert [each for each in secrets if each in told] == []
        for seen in server.seen:
            assert seen.headers["x-gateway"] == "plain words of a gateway"
            assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            assert seen.headers["x-team"] == "search"
            assert seen.body["additionalModelRequestFields"] == {"tone": "polite"}


async def test_what_the_policy_adds_is_held_for(start: Start, setup: Setup, cheap: Provider) -> None:
    """It may be read as part of the prompt, and asks for a dearer tier."""
    extra: dict[str, object] = {"service_tier": "priority", "metadata": {"note": "x" * 4_000}}
    model = {"model": "openai/gpt-4o-mini", "endpoint": cheap.endpoint}
    acme = {"limits": [{"name": "tokens", "unit": "Tokens", "amount": "3000"}]}
    plain = await start(setup.but(cheap_model=model, acme=acme))
    assert (await plain.ask(PROMPT, more={"max_tokens": 20})).status == 200
    padded = await plain.swap(setup.but(cheap_model=model | {"extraBody": extra}, acme=acme))
    assert padded
    held = await plain.ask(f"{PROMPT} Again?", more={"max_tokens": 20})
    assert held.headers["x-tollway-budget-tight"] == "tokens"
    body = cheap.last_body()
    assert (body["service_tier"], body["metadata"]) == ("priority", extra["metadata"])
