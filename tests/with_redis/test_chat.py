"""`POST /chat`: a prompt in, an answer out."""

import json

import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.servers import Provider
from tollway_cli.simulator.answers import answer_for

PROMPT = "What is a lighthouse?"


def body(**fields: object) -> bytes:
    return json.dumps({"prompt": PROMPT, **fields}).encode()


async def test_an_answer_says_where_it_comes_from_and_what_it_cost(gateway: Running) -> None:
    live = await gateway.post("/chat", body())
    assert set(live.json) == {"content", "source", "latency_ms", "cost", "model"}
    assert live.json["content"] == answer_for("cheap", "gpt-4o-mini", PROMPT)
    assert (live.json["source"], live.json["model"]) == ("live", "cheap")
    assert f"{live.json['cost']:.9f}" == f"{float(live.headers['x-tollway-cost-usd']):.9f}"
    hit = await gateway.post("/chat", body())
    assert (hit.json["source"], hit.json["cost"]) == ("cache", 0)
    assert hit.json["content"] == live.json["content"]


async def test_a_paraphrase_comes_from_the_cache_too(gateway: Running) -> None:
    await gateway.post("/chat", body(prompt="How do I reset my password?"))
    await gateway.stored()
    assert (await gateway.post("/chat", body(prompt="How can I reset my password?"))).json[
        "source"
    ] == "cache"


async def test_it_shares_its_cache_with_chat_completions(gateway: Running) -> None:
    await gateway.ask(PROMPT)
    assert (await gateway.post("/chat", body())).json["source"] == "cache"


async def test_a_tenant_id_must_be_the_keys_own(gateway: Running) -> None:
    assert (await gateway.post("/chat", body(tenant_id="acme"))).status == 200
    reply = await gateway.post("/chat", body(tenant_id="beta"))
    assert (reply.status, reply.error["param"]) == (403, "tenant_id")


async def test_a_used_up_budget_answers_politely(start: Start, setup: Setup) -> None:
    limits = [{"name": "few", "unit": "Requests", "amount": "1"}]
    gateway = await start(
        setup.but(acme={"limits": limits, "onExceeded": {"message": "That was it for today."}})
    )
    await gateway.post("/chat", body())
    reply = await gateway.post("/chat", body(prompt="Another question"))
    assert (reply.status, reply.json["source"], reply.json["cost"]) == (429, "budget_limit", 0)
    assert "That was it for today." in str(reply.json["content"])
    assert int(reply.headers["retry-after"]) > 0
    assert (await gateway.post("/chat", body())).json["source"] == "cache"


async def test_a_degraded_answer_says_so(start: Start, setup: Setup) -> None:
    limits = [{"name": "few", "unit": "Requests", "amount": "1"}, {"name": "money", "amount": "5.00"}]
    gateway = await start(
        setup.but(acme={"limits": limits, "onExceeded": {"action": "Degrade", "model": "rich"}})
    )
    await gateway.post("/chat", body())
    reply = await gateway.post("/chat", body(prompt="Another question"))
    assert (reply.status, reply.json["source"], reply.json["model"]) == (200, "degraded", "rich")


@pytest.mark.parametrize("fault", ["server-error", "no-credit", "no-model"])
async def test_an_outage_answers_politely_with_a_503(
    gateway: Running, cheap: Provider, rich: Provider, fault: str
) -> None:
    cheap.fail(fault)
    rich.fail(fault)
    reply = await gateway.post("/chat", body())
    assert (reply.status, reply.json["source"]) == (503, "unavailable")
    assert "try again" in str(reply.json["content"])


async def test_what_is_malformed_is_a_400_that_names_the_field(gateway: Running) -> None:
    for sent, param in (
        (b"{}", "prompt"),
        (body(prompt=" "), "prompt"),
        (body(tenant_id=5), "tenant_id"),
        (body(promt="x"), "promt"),
    ):
        reply = await gateway.post("/chat", sent)
        assert (reply.status, reply.error["param"]) == (400, param)
