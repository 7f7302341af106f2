"""Traces of requests, as a collector has them that reads OTLP."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.collector import Collector, Seen, collecting, tree
from tests.conftest import Start
from tests.dataplanes import ACME_KEY, Running, Setup, until
from tests.processes import free_port
from tests.prometheus import eventually, prometheus
from tests.servers import Provider

PROMPT = "Which day comes after Monday?"
CHAT = "POST /v1/chat/completions"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIMITS = {"limits": [{"name": "money", "amount": "1.00"}]}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
async def traced(
    start: Start, setup: Setup, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> Running:
    """A data plane with a limit of money, whose spans are with the collector soon."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "20"}
    return await traced_by(start, setup.but(acme=LIMITS), environ, monkeypatch)


async def traced_by(
    start: Start, setup: Setup, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Running:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return await start(setup, environ=environ, ledger_deadline_s=2.0)


async def ask(gateway: Running, prompt: str = PROMPT, *, traceparent: str = "", stream: bool = False) -> None:
    body = {"messages": [{"role": "user", "content": prompt}], "stream": stream, "temperature": 0.25}
    headers = {"traceparent": traceparent} if traceparent else {}
    reply = await gateway.post("/v1/chat/completions", json.dumps(body).encode(), headers=headers)
    assert reply.status == 200


async def requests(gateway: Running) -> list[dict[str, object]]:
    """Their lines in the log, which come a little later."""

    def lines() -> list[dict[str, object]]:
        return [line for line in gateway.log_lines() if line["event"] == "request"]

    await until(lambda: bool(lines()))
    return lines()


def named(spans: list[Seen], name: str) -> Seen:
    (found,) = [each for each in spans if each.name == name]
    return found


async def test_a_live_request_is_one_tree(traced: Running, collector: Collector) -> None:
    await ask(traced)
    spans = await collector.trace(CHAT)
    assert tree(spans) == [
        CHAT,
        ".cache",
        "..embeddings all-MiniLM-L6-v2",
        ".route",
        ".hold",
        ".chat gpt-4o-mini",
        ".settle",
    ]
    root, model = spans[0], named(spans, "chat gpt-4o-mini")
    assert (root.kind, root.parent, model.kind) == ("SERVER", "", "CLIENT")
    assert not any(each.failed for each in spans)
    assert all(root.began <= each.began <= each.ended <= root.ended for each in spans)
    assert model.ended <= named(spans, "settle").began, "what was used is counted after the answer"


async def test_spans_say_what_the_conventions_and_we_have_names_for(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    await ask(traced)
    spans = await collector.trace(CHAT)
    log = (await requests(traced))[0]
    root, model = spans[0].attributes, named(spans, "chat gpt-4o-mini").attributes
    assert {name: value for name, value in root.items() if not name.startswith("tollway.")} == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
    }
    told = (
        "request_id tenant policy revision source cache route model prompt_tokens completion_tokens".split()
    )
    assert {name: root[f"tollway.{name}"] for name in told} == {name: log[name] for name in told}
    assert root["tollway.cost_usd"] == float(str(log["cost_usd"])) > 0
    assert spans[0].trace_id == log["trace_id"]
    port = int(cheap.url.rpartition(":")[2])
    assert str(model["gen_ai.response.id"]).startswith("sim-")
    assert {name: value for name, value in model.items() if name != "gen_ai.response.id"} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.max_tokens": 16384,
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": log["prompt_tokens"],
        "gen_ai.usage.output_tokens": log["completion_tokens"],
        "server.address": "127.0.0.1",
        "server.port": port,
        "tollway.model": "cheap",
        "tollway.usage.estimated": False,
    }
    assert named(spans, "cache").attributes["tollway.cache.reason"] == "NoNeighbour"
    assert named(spans, "hold").attributes["tollway.hold.held_usd"] == float(str(log["held_usd"]))
    assert named(spans, "settle").attributes["tollway.settle.cost_usd"] == root["tollway.cost_usd"]
    resource = collector.resources[0]
    assert resource["service.name"] == "tollway-dataplane"
    assert resource["telemetry.sdk.name"] == "opentelemetry"


async def test_a_trace_goes_on_from_the_caller_to_the_provider(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    await ask(traced, traceparent=CALLER)
    spans = await collector.trace(CHAT)
    assert {each.trace_id for each in spans} == {CALLER.split("-")[1]}
    assert spans[0].parent == CALLER.split("-")[2]
    model = named(spans, "chat gpt-4o-mini")
    assert cheap.last_headers()["traceparent"] == f"00-{model.trace_id}-{model.id}-01"


@pytest.mark.parametrize("given", ["", "00-zz-1-01", f"{CALLER}, {CALLER}", "00-" + "0" * 32 + "-1-01"])
async def test_nonsense_from_a_caller_begins_a_trace_of_its_own(
    traced: Running, collector: Collector, given: str
) -> None:
    await ask(traced, traceparent=given)
    spans = await collector.trace(CHAT)
    assert spans[0].parent == ""
    assert re.fullmatch("[1-9a-f][0-9a-f]{31}|0[0-9a-f]{31}", spans[0].trace_id)


async def test_attempts_are_siblings_and_the_failed_one_says_why(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    cheap.fail("server-error")
    await ask(traced)
    spans = await collector.trace(CHAT)
    assert tree(spans)[3:] == [
        ".route",
        ".hold",
        ".chat gpt-4o-mini",
        ".settle",
        ".hold",
        ".chat gpt-4o",
        ".settle",
    ]
    failed = named(spans, "chat gpt-4o-mini")
    assert (failed.failed, failed.error) == (True, "500")
    assert not named(spans, "chat gpt-4o").failed
    assert not spans[0].failed, "its caller has an answer"
    assert spans[0].attributes["tollway.attempts"] == ["cheap:ServerError:500", "rich:ok"]


async def test_who_is_told_that_nobody_answers_sees_an_error(
    traced: Running, collector: Collector, cheap: Provider, rich: Provider
) -> None:
    cheap.fail("server-error")
    rich.fail("server-error")
    assert (await traced.ask(PROMPT)).status == 503
    root = (await collector.trace(CHAT))[0]
    assert (root.failed, root.error) == (True, "providers_unavailable")
    assert root.attributes["http.response.status_code"] == 503


async def test_a_callers_mistake_is_no_error_of_ours(traced: Running, collector: Collector) -> None:
    assert (await traced.ask(PROMPT, key="nobody's")).status == 401
    root = (await collector.trace(CHAT))[0]
    assert not root.failed
    assert root.attributes["tollway.refusal"] == "invalid_api_key"


async def test_the_span_of_a_stream_ends_with_the_stream(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    stream = await traced.acme.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": PROMPT}], stream=True
    )
    texts = [chunk.choices[0].delta.content async for chunk in stream]
    assert len(texts) > 2
    spans = await collector.trace(CHAT)
    assert tree(spans)[-3:] == [".hold", ".chat gpt-4o-mini", ".settle"]
    model = named(spans, "chat gpt-4o-mini")
    assert model.attributes["gen_ai.request.stream"] is True
    first = model.attributes["gen_ai.response.time_to_first_chunk"]
    assert isinstance(first, float)
    assert 0 < first * 1e9 < model.ended - model.began, "there is more to it than its first chunk"
    assert model.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert model.attributes["gen_ai.usage.output_tokens"]


async def test_a_stream_that_breaks_is_an_error(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    cheap.fail("cut")
    await ask(traced, stream=True)
    spans = await collector.trace(CHAT)
    model = named(spans, "chat gpt-4o-mini")
    assert (model.failed, model.error, spans[0].failed) == (True, "broken", True)


async def test_a_caller_who_leaves_ends_the_trace(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    cheap.fail("stall")
    leaving = asyncio.create_task(traced.ask(PROMPT))
    await until(lambda: cheap.total == 1)
    leaving.cancel()
    spans = await collector.trace(CHAT)
    assert spans[0].attributes["http.response.status_code"] == 499
    assert named(spans, "chat gpt-4o-mini").error == "cancelled"


async def test_a_hit_asks_nobody(traced: Running, collector: Collector) -> None:
    await ask(traced)
    await traced.stored()
    await ask(traced)
    spans = await collector.trace(CHAT, 1)
    assert tree(spans) == [CHAT, ".cache"]
    assert spans[1].attributes == {"tollway.cache.reason": "Exact"}


async def test_embeddings_are_traced_as_chats_are(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    body = json.dumps({"model": "cheap", "input": "What is a fjord?"}).encode()
    assert (await traced.post("/v1/embeddings", body)).status == 200
    spans = await collector.trace("POST /v1/embeddings")
    assert tree(spans)[1:] == [".hold", ".embeddings gpt-4o-mini", ".settle"]
    assert spans[2].attributes["gen_ai.operation.name"] == "embeddings"
    assert "traceparent" in cheap.last_headers()


async def test_no_prompt_no_answer_and_no_key_is_in_a_span(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    cheap.fail("server-error", times=1)
    beside = {"stop": ["secret-stop"], "user": "secret-user", "metadata": {"secret": "secret-metadata"}}
    reply = await traced.ask("What is my secret fjord?", more=beside)
    await traced.stored()
    await traced.ask("What is my secret fjord?", more=beside)
    await collector.trace(CHAT, 1)
    sent = b"".join(collector.raw)
    assert b"gen_ai.usage.input_tokens" in sent
    for private in (b"secret", b"fjord", ACME_KEY.encode(), reply.content.encode()[:12], b"bearer"):
        assert private not in sent


async def test_a_caller_may_say_that_it_is_not_to_be_kept(
    traced: Running, collector: Collector, cheap: Provider
) -> None:
    await ask(traced, traceparent=CALLER.removesuffix("01") + "00")
    passed_on = cheap.last_headers()["traceparent"]
    assert passed_on.startswith(CALLER[:36])
    assert passed_on.endswith("-00")
    await ask(traced, "What is a fjord?")
    await collector.trace(CHAT)
    assert len({each.trace_id for each in collector.spans}) == 1
    assert (await requests(traced))[0]["trace_id"] == ""


@pytest.mark.parametrize(("delay_s", "status"), [(0.0, 503), (30.0, 200), (0.0, 400)])
async def test_a_collector_that_is_unwell_delays_nobody(
    start: Start,
    setup: Setup,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    delay_s: float,
    status: int,
) -> None:
    collector.delay_s, collector.status = delay_s, status
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.3",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_BSP_MAX_QUEUE_SIZE": "8",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    }
    gateway = await traced_by(start, setup, environ, monkeypatch)
    await asyncio.gather(*(ask(gateway, f"What is {number}?") for number in range(10)))
    await until(lambda: any(line["event"] == "traces are not exported" for line in gateway.log_lines()))
    spans = (await gateway.metrics())["tollway_trace_spans_total"]
    assert spans[("outcome", "failed"),]
    assert spans[("outcome", "dropped"),], "the queue is bounded"
    assert (("outcome", "sent"),) not in spans
    collector.delay_s, collector.status = 0.0, 200
    await ask(gateway, "Are you well again?")
    await until(lambda: any(line["event"] == "traces are exported again" for line in gateway.log_lines()))


async def test_without_a_collector_nothing_is_made(gateway: Running, cheap: Provider) -> None:
    await ask(gateway, traceparent=CALLER)
    assert "traceparent" not in cheap.last_headers()
    assert "tollway_trace_spans_total" not in await gateway.metrics()
    assert [line["trace_id"] for line in await requests(gateway)] == [""]


async def test_a_collector_that_was_never_there_keeps_no_process_from_ending(
    start: Start, setup: Setup, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1/traces"}
    gateway = await traced_by(start, setup, environ, monkeypatch)
    await ask(gateway)
    assert logging.getLogger("opentelemetry").propagate is False
    assert capfd.readouterr().err == ""


async def test_latencies_point_to_traces_where_a_scraper_can_read_that(
    traced: Running, collector: Collector, tmp_path: Path
) -> None:
    await ask(traced)
    trace_id = (await collector.trace(CHAT))[0].trace_id
    accept = {"accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"}
    async with traced.http.get(f"{traced.admin_url}/metrics", headers=accept) as response:
        assert response.content_type == "application/openmetrics-text"
        families = text_string_to_metric_families(await response.text())  # type: ignore[no-untyped-call]  # the library does not type it
    found = [sample.exemplar.labels for family in families for sample in family.samples if sample.exemplar]
    assert found == [{"trace_id": trace_id}]
    async with traced.http.get(f"{traced.admin_url}/metrics") as response:
        assert response.content_type == "text/plain"
        assert trace_id not in await response.text()
    with prometheus(tmp_path / "prometheus", [traced.admin_url]) as watching:
        asked = "ai_request_duration_seconds_bucket"
        await eventually(lambda: {"trace_id": trace_id} in watching.exemplars(asked), "it is scraped")
