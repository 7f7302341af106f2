"""One request end to end, on the real Redis and the real model, as the official client sees it."""

import json

import pytest

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, secret
from tests.servers import Provider
from tollway_cli.simulator.answers import answer_for

PASSWORD = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"


async def test_a_first_question_is_answered_live_by_the_cheap_model(gateway: Running) -> None:
    reply = await gateway.ask(PASSWORD)
    assert reply.status == 200
    assert reply.content == answer_for("cheap", "gpt-4o-mini", PASSWORD)
    assert reply.source == "live"
    assert reply.headers["x-tollway-model"] == "cheap"
    assert reply.headers["x-tollway-policy"] == "default/chat"
    assert reply.headers["x-tollway-revision"] == gateway.dataplane.live.revision
    assert reply.headers["x-tollway-request-id"].startswith("req-")


async def test_the_cost_header_is_the_price_of_the_providers_own_usage(gateway: Running) -> None:
    reply = await gateway.ask(PASSWORD)
    usage = reply.json["usage"]
    assert isinstance(usage, dict)
    expected = (usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600) / 1e9
    assert float(reply.headers["x-tollway-cost-usd"]) == pytest.approx(expected)


async def test_the_same_question_again_is_an_exact_hit_that_costs_nothing(
    gateway: Running, cheap: Provider
) -> None:
    first = await gateway.ask(PASSWORD)
    second = await gateway.ask(f"  {PASSWORD} ")
    assert second.source == "exact"
    assert second.body == first.body
    assert second.headers["x-tollway-cost-usd"] == "0"
    assert second.headers["x-tollway-saved-usd"] == first.headers["x-tollway-cost-usd"]
    assert cheap.total == 1


async def test_a_paraphrase_is_a_semantic_hit_with_its_similarity(gateway: Running) -> None:
    first = await gateway.ask(PASSWORD)
    await gateway.stored()
    second = await gateway.ask(PARAPHRASE)
    assert second.source == "semantic"
    assert second.body == first.body
    assert 0.95 <= float(second.headers["x-tollway-similarity"]) <= 1
    assert 0.95 <= float(second.headers["x-tollway-reuse-probability"]) <= 1


async def test_an_answer_is_never_given_to_another_tenant(gateway: Running, cheap: Provider) -> None:
    await gateway.ask(PASSWORD, ACME_KEY)
    await gateway.stored()
    assert (await gateway.ask(PARAPHRASE, BETA_KEY)).source == "live"
    assert (await gateway.ask(PASSWORD, BETA_KEY)).headers["x-tollway-cache-reason"] != "Exact"
    assert cheap.total == 2


async def test_a_shared_index_gives_one_tenants_answer_to_another(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(index={"scope": "Shared"}))
    await gateway.ask(PASSWORD, ACME_KEY)
    assert (await gateway.ask(PASSWORD, BETA_KEY)).source == "exact"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is the price?", "What is the price of shipping?"),
        ("What is the price of shipping?", "What is the price?"),
        ("How far is Paris from London?", "How far is London from Paris?"),
        ("Is it safe to mix bleach and vinegar?", "Is it not safe to mix bleach and vinegar?"),
        ("Give me 3 examples of metaphors", "Give me 5 examples of metaphors"),
        ("Can dogs eat grapes?", "Can dogs eat grapes safely?"),
    ],
)
async def test_questions_that_only_look_alike_never_share_an_answer(
    gateway: Running, first: str, second: str
) -> None:
    one = await gateway.ask(first)
    await gateway.stored()
    other = await gateway.ask(second)
    assert other.source == "live"
    assert other.content != one.content


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.2},
        {"seed": 7},
        {"response_format": {"type": "json_object"}},
        {"max_tokens": 900},
        {"model": "cheap"},
        {"some_new_parameter": True},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_parameter_that_may_change_the_answer_divides_the_cache(
    gateway: Running, change: dict[str, object]
) -> None:
    await gateway.ask(PASSWORD)
    assert (await gateway.ask(PASSWORD, more=change)).source == "live"
    assert (await gateway.ask(PASSWORD, more=change)).source == "exact"


async def test_a_parameter_that_only_says_who_asks_does_not(gateway: Running) -> None:
    await gateway.ask(PASSWORD, user="one")
    assert (await gateway.ask(PASSWORD, user="two", metadata={"a": "b"})).source == "exact"


async def test_the_same_last_turn_after_other_turns_is_another_question(gateway: Running) -> None:
    def chat(city: str) -> bytes:
        turns = [
            {"role": "user", "content": f"I live in {city}."},
            {"role": "assistant", "content": "Nice."},
            {"role": "user", "content": "Where can I swim there?"},
        ]
        return json.dumps({"messages": turns}).encode()

    path = "/v1/chat/completions"
    assert (await gateway.post(path, chat("Rome"))).headers["x-tollway-source"] == "live"
    assert (await gateway.post(path, chat("Oslo"))).headers["x-tollway-source"] == "live"
    assert (await gateway.post(path, chat("Rome"))).headers["x-tollway-source"] == "exact"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "HasTools"),
        ({"n": 2}, "SeveralChoices"),
        ({"temperature": 1.5}, "HighTemperature"),
        ({"messages": [{"role": "user", "content": "How is the weather in Rome?"}]}, "TimeDependent"),
        ({"messages": [{"role": "assistant", "content": "hm"}]}, "NotPlainText"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_requests_that_want_no_memory_bypass_the_cache(
    gateway: Running, more: dict[str, object], reason: str
) -> None:
    for _ in range(2):
        reply = await gateway.ask(PASSWORD, more=more)
        assert reply.source == "live"
        assert reply.headers["x-tollway-cache-reason"] == reason


@pytest.mark.parametrize("directive", ["no-cache", "no-store"])
async def test_a_caller_can_opt_out_of_the_cache(gateway: Running, directive: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": PASSWORD}]}).encode()
    for _ in range(2):
        reply = await gateway.post("/v1/chat/completions", body, headers={"cache-control": directive})
        assert reply.headers["x-tollway-cache-reason"] == "OptedOut"


async def test_what_one_of_two_headers_says_is_heard(gateway: Running) -> None:
    await gateway.ask(PASSWORD)
    body = json.dumps({"messages": [{"role": "user", "content": PASSWORD}]}).encode()
    known = [("authorization", f"Bearer {ACME_KEY}"), ("content-type", "application/json")]
    twice = [("cache-control", "no-cache"), ("cache-control", "max-age=1")]
    url = f"{gateway.url}/v1/chat/completions"
    async with gateway.http.post(url, data=body, headers=[*known, *twice]) as reply:
        assert reply.headers["x-tollway-cache-reason"] == "OptedOut"


async def test_a_truncated_answer_is_not_remembered(gateway: Running) -> None:
    assert (await gateway.ask(PASSWORD, max_tokens=3)).source == "live"
    assert (await gateway.ask(PASSWORD, max_tokens=3)).source == "live"


async def test_every_field_reaches_the_provider_and_unknown_ones_too(
    gateway: Running, cheap: Provider
) -> None:
    await gateway.ask(PASSWORD, top_p=0.5, logit_bias={"50256": -100}, brand_new={"deep": [1, None]})
    body = cheap.last_body()
    assert body["top_p"] == 0.5
    assert body["logit_bias"] == {"50256": -100}
    assert body["brand_new"] == {"deep": [1, None]}
    assert body["model"] == "gpt-4o-mini"
    await gateway.ask(PASSWORD, stream=True, stream_options={"include_obfuscation": False})
    assert cheap.last_body()["stream_options"] == {"include_obfuscation": False, "include_usage": True}


async def test_the_answer_is_bounded_by_what_was_held(gateway: Running, cheap: Provider) -> None:
    await gateway.ask(PASSWORD)
    assert cheap.last_body()["max_tokens"] == 16_384
    await gateway.ask(PASSWORD, max_tokens=1_000_000)
    assert cheap.last_body()["max_tokens"] == 16_384


@pytest.mark.parametrize(
    ("prompt", "model", "reason"),
    [
        ("Hello there", "cheap", "Simple"),
        ("Please compare apples and pears", "rich", "Keyword"),
        ("word " * 51, "rich", "ManyWords"),
        ("word " * 50, "cheap", "Simple"),
    ],
)
async def test_hard_prompts_go_to_the_rich_model(
    gateway: Running, prompt: str, model: str, reason: str
) -> None:
    reply = await gateway.ask(prompt)
    assert reply.headers["x-tollway-model"] == model
    assert reply.headers["x-tollway-route-reason"] == reason


async def test_a_caller_may_name_a_model_of_the_policy(gateway: Running) -> None:
    reply = await gateway.ask("Hello there", model="rich")
    assert (reply.headers["x-tollway-model"], reply.headers["x-tollway-route-reason"]) == ("rich", "Explicit")


async def test_a_policy_can_keep_callers_from_naming_models(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(policy={"route": {"explicitModel": "Deny"}}))
    reply = await gateway.ask("Hello there", model="rich")
    assert reply.status == 403
    assert "auto" in reply.error["message"]


async def test_a_tenants_preferred_model_wins_over_the_router(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"preferredModel": "rich"}))
    reply = await gateway.ask("Hello there")
    assert (reply.headers["x-tollway-model"], reply.headers["x-tollway-route-reason"]) == (
        "rich",
        "Preferred",
    )
    assert (await gateway.ask("Hello there", BETA_KEY)).headers["x-tollway-model"] == "cheap"


async def test_an_unknown_model_is_a_404_that_names_those_there_are(gateway: Running) -> None:
    reply = await gateway.ask("Hello", model="gpt-9")
    assert reply.status == 404
    assert reply.error["code"] == "model_not_found"
    assert "cheap, rich" in reply.error["message"]


async def test_the_official_client_gets_what_it_expects(gateway: Running) -> None:
    completion = await gateway.acme.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": PASSWORD}]
    )
    assert completion.choices[0].message.content == answer_for("cheap", "gpt-4o-mini", PASSWORD)
    assert completion.usage is not None
    models = await gateway.acme.models.list()
    assert [model.id for model in models.data] == ["auto", "cheap", "rich"]
    assert (await gateway.acme.models.retrieve("rich")).id == "rich"


async def test_embeddings_are_the_providers_and_are_paid_for(start: Start, setup: Setup) -> None:
    vectors = {"name": "vectors", "model": "openai/text-embedding-3-small", "endpoint": setup.cheap}
    policy = {
        "match": {"models": ["vectors"]},
        "models": [vectors],
    }
    other = {
        "apiVersion": "tollway.dev/v1alpha1",
        "kind": "RoutingPolicy",
        "metadata": {"name": "vectors"},
        "spec": policy,
    }
    limits = [{"name": "tokens", "unit": "Tokens", "amount": "60"}]
    gateway = await start(setup.but(others=(other,), acme={"limits": limits}))
    reply = await gateway.acme.embeddings.create(model="vectors", input=["one", "two"], dimensions=8)
    assert [len(each.embedding) for each in reply.data] == [8, 8]
    assert reply.usage.prompt_tokens == 2
    refused = await gateway.post(
        "/v1/embeddings", json.dumps({"model": "vectors", "input": "word " * 80}).encode()
    )
    assert refused.status == 429
    unnamed = await gateway.post("/v1/embeddings", json.dumps({"model": "auto", "input": "x"}).encode())
    assert unnamed.status == 400


async def test_the_provider_gets_its_own_key_and_never_the_callers(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    credentials = {"credentialsRef": {"name": "provider"}}
    gateway = await start(setup.but(cheap_model=credentials, others=(secret("provider", "sk-provider"),)))
    assert (await gateway.ask(PASSWORD)).status == 200
    assert ACME_KEY not in json.dumps(cheap.seen())
