"""The LiteLLM path for real: the library, against a server that speaks Anthropic's protocol."""

import asyncio
import json

import pytest

from tests.conftest import Start
from tests.dataplanes import BETA_KEY, Running, Setup, secret, until
from tests.servers import Provider, provider
from tollway_cli.simulator.answers import answer_for

PROMPT = "What is a lighthouse?"
MODEL = "claude-haiku-4-5"

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]


@pytest.fixture
async def claude(start: Start, setup: Setup, cheap: Provider) -> Running:
    model = {"model": f"anthropic/{MODEL}", "endpoint": cheap.url, "credentialsRef": {"name": "provider"}}
    return await start(setup.but(cheap_model=model, others=(secret("provider", "sk-ant-test"),)))


async def test_an_answer_comes_through_litellm_with_usage_and_cost(claude: Running, cheap: Provider) -> None:
    reply = await claude.ask(PROMPT)
    assert reply.status == 200, reply.body
    assert reply.content == answer_for("cheap", MODEL, PROMPT)
    usage = reply.json["usage"]
    assert isinstance(usage, dict)
    expected = (usage["prompt_tokens"] * 1_000 + usage["completion_tokens"] * 5_000) / 1e9
    assert float(reply.headers["x-tollway-cost-usd"]) == pytest.approx(expected)
    last = cheap.seen()["last"]
    assert isinstance(last, list)
    assert last[-1]["path"] == "/v1/messages"
    assert (await claude.ask(PROMPT)).source == "exact"


async def test_a_stream_comes_through_litellm_and_is_remembered(claude: Running) -> None:
    stream = await claude.acme.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, tokens = "", None
    async for chunk in stream:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    assert text == answer_for("cheap", MODEL, PROMPT)
    assert tokens
    await claude.stored()
    assert (await claude.ask(PROMPT)).source == "exact"


async def test_an_answer_that_is_paid_for_as_it_comes_is_the_same(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    model = {"model": f"anthropic/{MODEL}", "endpoint": cheap.url, "credentialsRef": {"name": "provider"}}
    key, acme = secret("provider", "sk-ant-test"), {"limits": [{"name": "money", "amount": "0.01"}]}
    gateway = await start(setup.but(cheap_model=model, others=(key,), acme=acme))
    tight, plenty = await gateway.ask(PROMPT), await gateway.ask(PROMPT, BETA_KEY)
    assert tight.headers["x-tollway-budget-tight"] == "money"
    assert tight.content == plenty.content == answer_for("cheap", MODEL, PROMPT)
    used = [reply.headers["x-tollway-cost-usd"] for reply in (tight, plenty)]
    assert used[0] == used[1]


@pytest.mark.parametrize(
    ("fault", "trigger"),
    [
        ("rate-limit", "RateLimit"),
        ("server-error", "ServerError"),
        ("unavailable", "ServerError"),
        ("context-length", "ContextOverflow"),
        ("bad-key", "ServerError"),
        ("forbidden", "ServerError"),
        ("no-credit", "ServerError"),
        ("no-model", "ServerError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_its_failures_fall_back_like_any_other(
    claude: Running, cheap: Provider, rich: Provider, fault: str, trigger: str, stream: bool
) -> None:
    cheap.fail(fault)
    body = {"messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    reply = await claude.post("/v1/chat/completions", json.dumps(body).encode())
    assert reply.status == 200
    assert reply.headers["x-tollway-model"] == "rich"
    fallbacks = (await claude.metrics())["ai_fallback_count_total"]
    assert fallbacks == {(("from", "cheap"), ("to", "rich"), ("trigger", trigger)): 1}
    assert (cheap.total, rich.total) == (1, 1), "LiteLLM must not retry by itself"


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_connection_that_breaks_is_tried_once_and_its_prompt_counted(
    claude: Running, cheap: Provider, rich: Provider, fault: str
) -> None:
    cheap.fail(fault)
    reply = await claude.ask(PROMPT)
    assert (reply.status, reply.headers["x-tollway-model"]) == (200, "rich")
    assert (cheap.total, rich.total) == (1, 1), "LiteLLM must not retry by itself"
    fallbacks = (await claude.metrics())["ai_fallback_count_total"]
    assert fallbacks == {(("from", "cheap"), ("to", "rich"), ("trigger", "Connection")): 1}
    without = float((await claude.ask(PROMPT, model="rich")).headers["x-tollway-cost-usd"])
    assert float(reply.headers["x-tollway-cost-usd"]) > without, "who broke off may bill for the prompt"


async def test_a_stream_that_ends_without_a_reason_is_broken_and_not_remembered(
    claude: Running, cheap: Provider
) -> None:
    cheap.fail("short")
    broken = await claude.ask(PROMPT, stream=True)
    assert broken.headers["x-tollway-model"] == "cheap"
    assert b"broke the stream off" in broken.body
    assert b"[DONE]" not in broken.body
    assert b'"finish_reason":"stop"' not in broken.body
    cheap.fail()
    again = await claude.ask(PROMPT)
    assert (again.source, again.content) == ("live", answer_for("cheap", MODEL, PROMPT))
    assert (await claude.ask(PROMPT)).source == "exact"


async def test_a_stream_that_ends_before_it_began_falls_back(
    claude: Running, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("empty")
    reply = await claude.ask(PROMPT, stream=True)
    assert reply.headers["x-tollway-model"] == "rich"
    assert reply.body.endswith(b"[DONE]\n\n")
    assert (cheap.total, rich.total) == (1, 1)


async def test_a_provider_that_refuses_our_key_is_told_apart(start: Start, setup: Setup) -> None:
    with provider("strict", require_key="right") as strict:
        model = {
            "model": f"anthropic/{MODEL}",
            "endpoint": strict.url,
            "credentialsRef": {"name": "provider"},
        }
        setup = setup.but(cheap_model=model, others=(secret("provider", "wrong"),))
        gateway, alone = await start(setup), await start(setup.but(policy={"fallback": {"maxFallbacks": 0}}))
        assert (await alone.ask(PROMPT)).error["code"] == "provider_refused"
        assert (await gateway.ask(PROMPT)).headers["x-tollway-model"] == "rich"
        errors = (await gateway.metrics())["ai_upstream_errors_total"]
        assert errors == {(("kind", "401"), ("model", "cheap")): 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("web_search_options", 5),
        ("tools", [{}]),
        ("response_format", {"type": "json_schema"}),
        ("messages", [{"role": "user", "content": [{"type": "a-secret-type", "x": 1}]}]),
        ("messages", [{"role": "tool", "content": "a-secret-answer"}]),
    ],
    ids=["web_search_options", "tools", "response_format", "content", "tool message"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_litellm_cannot_make_sense_of_is_the_callers_to_mend(
    claude: Running, cheap: Provider, rich: Provider, field: str, value: object, stream: bool
) -> None:
    reply = await claude.ask(PROMPT, more={field: value, "stream": stream})
    assert reply.status == 400, reply.body
    assert (reply.error["code"], reply.error["type"]) == ("invalid_request", "invalid_request_error")
    assert field in reply.error["message"]
    assert "secret" not in reply.error["message"]
    assert (cheap.total, rich.total) == (0, 0), "another model would not help"


async def test_the_providers_own_words_reach_the_caller_and_litellms_do_not(
    claude: Running, cheap: Provider
) -> None:
    cheap.fail("bad-request")
    reply = await claude.ask(PROMPT)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert reply.error["message"].startswith("the provider refused: The seed is not supported for [removed]")
    assert "Exception" not in reply.error["message"]


async def test_a_picture_that_cannot_be_fetched_is_the_callers_to_mend(
    claude: Running, cheap: Provider, rich: Provider
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a-secret.png"}}
    reply = await claude.ask(PROMPT, more={"messages": [{"role": "user", "content": [picture]}]})
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "data: URL" in reply.error["message"]
    assert "secret" not in reply.error["message"]
    assert (cheap.total, rich.total) == (0, 0)


async def test_no_field_of_a_caller_is_an_argument_of_litellm(claude: Running, cheap: Provider) -> None:
    """LiteLLM would send our key to `base_url`, or answer with `mock_response` and call nobody."""
    hostile = {
        "base_url": "http://127.0.0.1:9", "api_base": "http://127.0.0.1:9", "api_key": "theirs",
        "mock_response": "made up", "mock_timeout": True, "custom_llm_provider": "openai", "model_list": [{}],
        "azure": True, "deployment_id": "x", "client": "x", "extra_headers": {"x-theirs": "1"}, "timeout": 0.001,
        "headers": {"x-theirs": "1"}, "fallbacks": ["gpt-4o"], "num_retries": 5, "organization": "o",
        "api_version": "v", "extra_body": {"model": "other"}, "litellm_metadata": {}, "cache": {"no-cache": True},
    }  # fmt: skip
    for name, value in hostile.items():
        reply = await claude.ask(f"{PROMPT} {name}", more={name: value})
        assert reply.status == 200, (name, reply.body)
        assert reply.headers["x-tollway-model"] == "cheap", name
        assert reply.content == answer_for("cheap", MODEL, f"{PROMPT} {name}"), name
    last = cheap.seen()["last"]
    assert isinstance(last, list)
    assert {call["path"] for call in last} == {"/v1/messages"}


async def test_a_providers_own_fields_reach_it(claude: Running, cheap: Provider) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    reply = await claude.ask(PROMPT, more={"top_k": 3, "thinking": thinking, "max_tokens": 2_000})
    assert reply.status == 200
    last = cheap.seen()["last"]
    assert isinstance(last, list)
    body = last[-1]["body"]
    assert (body["top_k"], body["thinking"]) == (3, thinking)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_caller_who_leaves_cancels_it_at_the_provider_and_pays_for_what_may_have_been_written(
    start: Start, setup: Setup, *, stream: bool
) -> None:
    """Long before the answer would have ended by itself."""
    with provider("slow", tokens_per_second=0.5) as slow:
        model = {"model": f"anthropic/{MODEL}", "endpoint": slow.url, "credentialsRef": {"name": "provider"}}
        limits = [{"name": "tokens", "unit": "Tokens", "amount": "100000"}]
        acme = {
            "limits": limits,
            "onLedgerUnavailable": "Deny",
        }  # so that nothing is leased, which counts as well
        key = secret("provider", "sk-ant-test")
        gateway = await start(setup.but(cheap_model=model, others=(key,), acme=acme))
        asking = asyncio.create_task(gateway.ask(PROMPT, stream=stream))
        await until(lambda: slow.seen()["in_flight"] == 1)
        asking.cancel()
        await until(lambda: slow.seen()["in_flight"] == 0)
        assert slow.seen()["by_outcome"] == {"disconnected": 1}
        await until(lambda: len(gateway.requests()) == 1)
        line = gateway.requests()[0]
        assert line["usage_estimated"] is True
        used = (await gateway.metrics())["ai_budget_utilization_ratio"][
            (("limit", "tokens"), ("tenant", "acme"))
        ]
        tokens = line["prompt_tokens"], line["completion_tokens"]
        paid = sum(each for each in tokens if isinstance(each, int))
        assert paid > 0
        assert used == pytest.approx(paid / 100_000), "what was held came back, what may have been used stays"
