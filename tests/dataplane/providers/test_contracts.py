"""What we send to each provider, and what we make of what it may answer, against a server that speaks its format."""

from collections.abc import Mapping
from dataclasses import replace

import orjson
import pytest

from tests.dataplane.providers.wire import ARGUMENTS, CALL, KEY, REQUEST, TEXT, ScriptedReply, Server
from tests.dataplane.providers.wires import streamed
from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.completions import Assembly, usage_of
from tollway_dataplane.core.facts import JsonValue
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Upstream
from tollway_dataplane.spans import Untraced

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]


def lacking(sent: JsonValue, wanted: JsonValue, place: str = "body") -> list[str]:
    """Where what was sent is not what is wanted; fields beside it may be there."""
    if isinstance(wanted, Mapping) and isinstance(sent, Mapping):
        return [
            found for name in wanted for found in lacking(sent.get(name), wanted[name], f"{place}.{name}")
        ]
    if isinstance(wanted, list) and isinstance(sent, list) and len(wanted) == len(sent):
        pairs = enumerate(zip(sent, wanted, strict=True))
        return [found for i, (each, other) in pairs for found in lacking(each, other, f"{place}[{i}]")]
    return [] if sent == wanted else [f"{place}: {sent!r} instead of {wanted!r}"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_request_reaches_it_in_its_own_words(
    upstream: Upstream, server: Server, stream: bool
) -> None:
    """The key where it belongs, instructions, bound, stop words, tools and a picture."""
    if stream:
        await streamed(upstream, server.call(REQUEST))
    else:
        await upstream.complete(server.call(REQUEST))
    (seen,) = server.seen
    assert seen.path == server.wire.path(stream=stream)
    assert server.wire.key_in(seen.headers) == KEY
    assert lacking(seen.body, server.wire.request) == []
    assert KEY not in orjson.dumps(seen.body).decode() + seen.path


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_it_is_told_which_trace_a_call_belongs_to(
    upstream: Upstream, server: Server, stream: bool
) -> None:
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    call = replace(server.call(), span=Untraced(headers))
    await (streamed(upstream, call) if stream else upstream.complete(call))
    (seen,) = server.seen
    assert seen.headers["traceparent"] == headers["traceparent"]
    assert server.wire.key_in(seen.headers) == KEY


async def test_a_whole_answer_comes_back_in_openais(upstream: Upstream, server: Server) -> None:
    completion = await upstream.complete(server.call())
    assert completion.complete
    assert completion.answer_text == "".join(TEXT)
    (choice,) = orjson.loads(completion.body)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("".join(TEXT), "stop")


async def test_a_stream_comes_piece_by_piece(upstream: Upstream, server: Server) -> None:
    chunks = await streamed(upstream, server.call())
    deltas = [choice["delta"].get("content") for chunk in chunks for choice in chunk.event["choices"]]  # type: ignore[index,union-attr,call-overload]  # OpenAI's
    assert [each for each in deltas if each] == list(TEXT)
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk.event)
        assert orjson.loads(chunk.data) == chunk.event
    assert assembly.whole


async def test_a_stream_may_repeat_itself(upstream: Upstream, server: Server) -> None:
    """As a table or a poem does; whether a model is stuck is for who reads it to say."""
    server.said = ScriptedReply(text=("again, ",) * 150)
    assembly = Assembly()
    for chunk in await streamed(upstream, server.call()):
        assembly.add(chunk.event)
    assert "".join(assembly.written) == "again, " * 150


async def test_what_it_counts_is_what_is_paid(upstream: Upstream, server: Server) -> None:
    """Also of a stream, which says it at its end."""
    expected = server.wire.telling(server.said).usage
    completion = await upstream.complete(server.call())
    assert completion.usage == expected
    usages = [usage for chunk in await streamed(upstream, server.call()) if (usage := usage_of(chunk.event))]
    assert usages[-1] == expected
    price = server.wire.model.price
    said = server.wire.telling(server.said)
    fresh = said.prompt - said.cached - said.written
    assert cost(expected, price) == fresh * 1_000 + said.cached * 100 + said.written * 1_250 + 50 * 5_000


async def test_a_call_of_a_tool_comes_back(upstream: Upstream, server: Server) -> None:
    server.said = CALL
    tools = {"tools": REQUEST["tools"]}
    completion = await upstream.complete(server.call(tools))
    (choice,) = orjson.loads(completion.body)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert (call["function"]["name"], orjson.loads(call["function"]["arguments"])) == ("look_up", ARGUMENTS)
    assert not completion.complete
    name, arguments, reasons = "", "", []
    for chunk in await streamed(upstream, server.call(tools)):
        for choice in orjson.loads(chunk.data)["choices"]:
            reasons += [choice["finish_reason"]] if choice.get("finish_reason") else []
            for part in choice["delta"].get("tool_calls") or []:
                name += part["function"].get("name") or ""
                arguments += part["function"].get("arguments") or ""
    assert (name, orjson.loads(arguments), reasons) == ("look_up", ARGUMENTS, ["tool_calls"])


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_an_answer_that_was_cut_short_says_so(upstream: Upstream, server: Server, finish: str) -> None:
    if (server.wire.name, finish) == ("Ollama", "content_filter"):
        pytest.skip("Ollama has no filter")
    server.said = ScriptedReply(finish=finish)
    completion = await upstream.complete(server.call())
    (choice,) = orjson.loads(completion.body)["choices"]
    assert choice["finish_reason"] == finish
    assert not completion.complete
    assembly = Assembly()
    for chunk in await streamed(upstream, server.call()):
        assembly.add(chunk.event)
    assert assembly.finish_reason == finish
    assert not assembly.whole


EXPECTED = {
    "key": FallbackTrigger.SERVER_ERROR,
    "rate": FallbackTrigger.RATE_LIMIT,
    "broken": FallbackTrigger.SERVER_ERROR,
    "busy": FallbackTrigger.SERVER_ERROR,
    "overflow": FallbackTrigger.CONTEXT_OVERFLOW,
    "filter": FallbackTrigger.CONTENT_FILTER,
    "wrong": None,
}
# For so long the rate limits want to be waited for, in a header or in the body.
WAITS_S = 7.0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", EXPECTED)
async def test_an_error_is_known_for_what_it_is(
    upstream: Upstream, server: Server, kind: str, stream: bool
) -> None:
    fault = await failing(upstream, server, kind, stream)
    assert fault.trigger is EXPECTED[kind]
    # Whatever the provider calls it: a key that is refused is nothing that a caller could mend.
    assert fault.status in {"key": {401, 403}, "rate": {429}, "wrong": {400}, "overflow": {400}}.get(
        kind, {server.failure.status if server.failure else None}
    )
    assert fault.retry_after_s == (WAITS_S if kind == "rate" else None)
    assert not fault.may_have_run


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["wrong", "filter"])
async def test_what_is_wrong_with_a_request_is_said_in_the_providers_words(
    upstream: Upstream, server: Server, kind: str, stream: bool
) -> None:
    fault = await failing(upstream, server, kind, stream)
    assert fault.status == 400
    assert fault.message in orjson.dumps(server.wire.failures[kind].body).decode()
    assert len(fault.message) > 10


async def failing(upstream: Upstream, server: Server, kind: str, stream: bool) -> UpstreamFault:
    if kind not in server.wire.failures:
        pytest.skip(f"{server.wire.name} has no such error")
    server.failure = server.wire.failures[kind]
    with pytest.raises(UpstreamFault) as caught:
        await (streamed(upstream, server.call()) if stream else upstream.complete(server.call()))
    assert len(server.seen) == 1, "nothing below us tries again"
    assert KEY not in caught.value.message
    return caught.value


async def test_a_stream_that_says_it_is_broken_is(upstream: Upstream, server: Server) -> None:
    """Although it had begun, with 200; and what it has written may be billed."""
    server.breaks_off = True
    with pytest.raises(UpstreamFault) as caught:
        await streamed(upstream, server.call())
    broken = {FallbackTrigger.SERVER_ERROR, FallbackTrigger.RATE_LIMIT, FallbackTrigger.CONNECTION}
    assert caught.value.trigger in broken
    assert caught.value.may_have_run


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_a_provider_has_not_counted_is_counted_by_nobody_in_its_name(
    upstream: Upstream, server: Server, stream: bool
) -> None:
    if server.wire.stream_type.startswith("application/vnd.amazon"):
        pytest.skip("whose frames have a checksum")
    if not stream and server.wire.name in {"Anthropic", "Gemini"}:
        pytest.skip("of which LiteLLM takes no answer without")
    server.counts = False
    if stream:
        chunks = await streamed(upstream, server.call())
        assert not any(chunk.event.get("usage") for chunk in chunks)
    else:
        assert (await upstream.complete(server.call())).usage is None


async def test_an_answer_without_text_says_so(upstream: Upstream, server: Server) -> None:
    """As OpenAI's do, whose clients may look for it."""
    server.said = CALL
    answer = orjson.loads((await upstream.complete(server.call())).body)
    assert not answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("data", ['{"choices": [', ' guides "}}', "[]", "null", "5"])
async def test_a_stream_with_a_malformed_event_is_no_answer_with_a_hole(
    upstream: Upstream, server: Server, data: str
) -> None:
    """Although what follows is in order, and says that it is the end."""
    server.garbles = data
    with pytest.raises(UpstreamFault) as caught:
        await streamed(upstream, server.call())
    assert caught.value.trigger in {FallbackTrigger.SERVER_ERROR, FallbackTrigger.CONNECTION}
    assert caught.value.may_have_run


@pytest.mark.parametrize("text", ["[DONE]", "a [DONE] b", "a\u2028b", "a\u0085b", "a\n\nb", "data: {}"])
async def test_what_means_something_to_streams_is_text_within_a_text(
    upstream: Upstream, server: Server, text: str
) -> None:
    """The word for the end, and signs that end a line elsewhere than in streams."""
    server.said = ScriptedReply(text=["A ", text, " lighthouse."])
    answer = Assembly()
    for chunk in await streamed(upstream, server.call()):
        answer.add(chunk.event)
    assert "".join(answer.text) == f"A {text} lighthouse."
    assert answer.whole


async def test_a_stream_that_ends_without_a_reason_is_broken(upstream: Upstream, server: Server) -> None:
    """Although its connection is closed in order, and LiteLLM finds a reason."""
    server.stops_short = True
    with pytest.raises(UpstreamFault) as caught:
        await streamed(upstream, server.call())
    assert caught.value.trigger is FallbackTrigger.CONNECTION
    assert caught.value.may_have_run


@pytest.mark.parametrize("events", [1, 3])
async def test_a_stream_that_is_cut_is_a_broken_connection(
    upstream: Upstream, server: Server, events: int
) -> None:
    server.cut_after = events
    with pytest.raises(UpstreamFault) as caught:
        await streamed(upstream, server.call())
    assert caught.value.trigger is FallbackTrigger.CONNECTION
    assert caught.value.may_have_run


async def test_an_answer_that_is_cut_is_a_broken_connection(upstream: Upstream, server: Server) -> None:
    server.cut_after = 1
    with pytest.raises(UpstreamFault) as caught:
        await upstream.complete(server.call())
    assert caught.value.trigger is FallbackTrigger.CONNECTION
    assert caught.value.may_have_run
    assert len(server.seen) == 1
