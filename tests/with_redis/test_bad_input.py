"""Bad input gets a clear 4xx in the OpenAI shape, breaks nothing and leaks nothing."""

import asyncio
import gzip
import json
import resource
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, Reply, Running, Setup, until
from tests.servers import Provider

CHAT = "/v1/chat/completions"
GOOD = {"messages": [{"role": "user", "content": "Hello"}]}


def body(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def assert_is_refusal(reply: Reply, status: int) -> None:
    assert reply.status == status, reply.body[:500]
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert len(reply.error["message"]) > 10
    assert "Traceback" not in reply.body.decode()


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"{", "not valid JSON"),
        (b"[]", "a list"),
        (b'"text"', "a text"),
        (b"null", "null"),
        (b'{"messages": NaN}', "not valid JSON"),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "not valid JSON"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "not valid JSON"),
        (b"{}", "messages"),
        (body(messages=[]), "messages"),
        (body(messages="hello"), "messages"),
        (body(messages=["hello"]), "messages[0]"),
        (body(messages=[{"content": "hello"}]), "messages[0].role"),
        (body(messages=[{"role": "king", "content": "hello"}]), "messages[0].role"),
        (body(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0]"),
        (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
        (body(messages=[{"role": "user", "content": "x"}] * 10_000), "10000 messages"),
        (body(metadata=json.loads("[" * 70 + "]" * 70)), "nested too deeply"),
        (body(tools=[{}] * 500_000), "too many values"),
        (body(model=""), "model"),
        (body(model=5), "model"),
        (body(model="x" * 1_000), "model"),
        (body(stream="yes"), "stream"),
        (body(stream=True, stream_options=[]), "stream_options"),
        (body(stream=True, stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (body(n=0), "n"),
        (body(n=True), "n"),
        (body(n=10**30), "n"),
        (body(max_tokens=-1), "max_tokens"),
        (body(max_tokens=1.5), "max_tokens"),
        (body(max_tokens=10**12), "max_tokens"),
        (body(max_completion_tokens="many"), "max_completion_tokens"),
        (body(temperature="hot"), "temperature"),
        (body(temperature=True), "temperature: must be a number, not true or false"),
        (body(tools="x"), "tools: must be a list, not a text"),
        (body(tools=[1]), "tools[0]: must be an object, not a number"),
        (body(stop=["a", 1]), "stop[1]: must be a text, not a number"),
        (body(stop=5), "stop: must be a text or a list, not a number"),
        (body(response_format="json"), "response_format"),
        (body(top_p="x"), "top_p"),
        (body(logit_bias=[1]), "logit_bias"),
        (body(seed=1.5), "seed"),
        (body(messages=[{"role": "user", "content": ""}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": None}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": []}]), "messages[0].content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_malformed_body_is_a_400_that_names_what_is_wrong(
    gateway: Running, cheap: Provider, sent: bytes, names: str
) -> None:
    reply = await gateway.post(CHAT, sent)
    assert_is_refusal(reply, 400)
    assert names in reply.error["message"]
    assert cheap.total == 0


async def test_huge_numbers_in_unknown_fields_break_nothing(gateway: Running) -> None:
    for number in (b"1e999", b"-1e999", b"9" * 400, b"1e-999"):
        reply = await gateway.post(CHAT, body()[:-1] + b', "x": ' + number + b"}")
        assert reply.status in {200, 400}, number


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("unknown", 401), ("", 401), ("x" * 600, 401), (f"{ACME_KEY} ", 200)]
)
async def test_only_a_known_key_is_let_in(gateway: Running, key: str | None, status: int) -> None:
    for path, sent in ((CHAT, body()), ("/chat", b'{"prompt": "Hello"}')):
        reply = await gateway.post(path, sent, key)
        assert reply.status == status
    async with gateway.http.get(
        f"{gateway.url}/v1/models", headers={} if key is None else {"authorization": f"Bearer {key}"}
    ) as response:
        assert response.status == status


@pytest.mark.parametrize("value", ["Basic abc", "Bearer", "Bearer  ", "acme-test-key"])
async def test_an_authorization_that_is_no_bearer_key_is_a_401(gateway: Running, value: str) -> None:
    reply = await gateway.post(CHAT, body(), None, {"authorization": value})
    assert_is_refusal(reply, 401)


async def test_two_authorization_headers_are_refused_whatever_they_say(gateway: Running) -> None:
    headers = [("authorization", f"Bearer {ACME_KEY}"), ("authorization", "Bearer other")]
    async with gateway.http.post(
        f"{gateway.url}{CHAT}", data=body(), headers=[*headers, ("content-type", "application/json")]
    ) as response:
        assert response.status == 400


async def test_two_content_types_are_refused_whatever_they_say(gateway: Running) -> None:
    key = ("authorization", f"Bearer {ACME_KEY}")
    headers = [key, ("content-type", "text/plain"), ("content-type", "application/json")]
    async with gateway.http.post(f"{gateway.url}{CHAT}", data=body(), headers=headers) as response:
        reply = Reply(response.status, {}, await response.read())
    assert_is_refusal(reply, 400)
    assert "send exactly one" in reply.error["message"]


async def test_a_compressed_body_is_a_415_that_says_so(gateway: Running) -> None:
    reply = await gateway.post(CHAT, gzip.compress(body()), headers={"content-encoding": "gzip"})
    assert_is_refusal(reply, 415)
    assert "without Content-Encoding" in reply.error["message"]


async def test_a_tenant_named_in_the_body_changes_nothing(gateway: Running) -> None:
    reply = await gateway.ask("Hello", tenant_id="beta", user="beta", tenant="beta")
    assert reply.status == 200
    await until(lambda: len(gateway.log_lines()) == 1)
    assert gateway.log_lines()[0]["tenant"] == "acme"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("POST", "/v1/chat/completion", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/chat", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/metrics", 404),
        ("GET", "/readyz", 404),
        ("GET", "/../etc/passwd", 404),
    ],
)
async def test_unknown_paths_and_methods_say_what_there_is(
    gateway: Running, method: str, path: str, status: int
) -> None:
    async with gateway.http.request(method, f"{gateway.url}{path}") as response:
        reply = Reply(response.status, {}, await response.read())
    assert_is_refusal(reply, status)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_a_body_that_is_not_json_is_a_415(gateway: Running, media_type: str) -> None:
    assert_is_refusal(await gateway.post(CHAT, body(), headers={"content-type": media_type}), 415)


async def test_a_body_beyond_the_bound_is_a_413_whether_or_not_it_says_its_length(gateway: Running) -> None:
    huge = body(messages=[{"role": "user", "content": "x" * 10_000_000}])
    assert_is_refusal(await gateway.post(CHAT, huge), 413)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    headers = {"authorization": f"Bearer {ACME_KEY}", "content-type": "application/json"}
    async with gateway.http.post(f"{gateway.url}{CHAT}", data=chunks(), headers=headers) as response:
        assert response.status == 413


async def test_a_caller_who_never_finishes_its_body_gets_a_408(start: Start, setup: Setup) -> None:
    gateway = await start(setup, body_deadline_s=0.3)
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME_KEY}\r\n"
        'content-type: application/json\r\ncontent-length: 100\r\n\r\n{"mess'.encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    await writer.wait_closed()


async def test_a_thousand_idle_connections_keep_nobody_from_being_answered(gateway: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, hard), hard))
    host, port = gateway.url.removeprefix("http://").split(":")
    idle = await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(1_000)))
    assert (await gateway.ask("Hello")).status == 200
    for _, writer in idle:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in idle))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_key_and_no_prompt_is_ever_logged(gateway: Running) -> None:
    await gateway.ask("a very secret prompt")
    await gateway.ask("a very secret prompt", "a-wrong-key")
    await gateway.post(CHAT, b'{"messages": [{"role": "user", "content": "a very secret prompt"')
    await until(lambda: len(gateway.log_lines()) == 3)
    text = gateway.log.getvalue().decode()
    for hidden in ("secret prompt", ACME_KEY, "a-wrong-key", "About"):
        assert hidden not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["model", "messages", "stream", "stream_options", "n", "max_tokens", "temperature", "tools", "stop", "x"]
)
MESSAGES = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "name", "tool_calls"]), JSON | st.just("user"), max_size=4
    )
    | st.fixed_dictionaries({"role": st.just("user"), "content": st.text(max_size=40)}),
    max_size=3,
)


async def test_no_body_whatever_makes_us_fail(gateway: Running) -> None:
    """A fuzz run: hypothesis makes the bodies, and only our own 4xx or a real answer may come back."""
    bodies: list[bytes] = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(FIELDS, JSON, max_size=6), st.none() | MESSAGES, st.binary(max_size=64))
    def collect(fields: dict[str, object], messages: object, noise: bytes) -> None:
        chosen = fields if messages is None else {**fields, "messages": messages}
        text = json.dumps(chosen).encode("utf-8", "surrogatepass")
        bodies.extend([text, text[: len(text) // 2] + noise, noise])

    collect()
    for path in (CHAT, "/chat", "/v1/embeddings"):
        for start_at in range(0, len(bodies), 20):
            batch = bodies[start_at : start_at + 20]
            replies = await asyncio.gather(*(gateway.post(path, sent) for sent in batch))
            for sent, reply in zip(batch, replies, strict=True):
                assert reply.status < 500, (path, sent, reply.body)
                assert b"Traceback" not in reply.body
    assert (await gateway.ask("Still there?")).status == 200


@pytest.mark.parametrize("depth", [10, 40, 60, 63, 64, 65, 70, 200, 253, 254, 300, 1_000, 1_024, 1_025])
@pytest.mark.parametrize("field", ["metadata", "response_format", "tools", "x", "input"])
async def test_nesting_is_never_our_failure(start: Start, setup: Setup, depth: int, field: str) -> None:
    gateway = await start(
        setup.but(acme={"limits": [{"name": "requests", "unit": "Requests", "amount": "5"}]})
    )
    nested = b"[" * depth + b"1" + b"]" * depth
    path = "/v1/embeddings" if field == "input" else CHAT
    start_of_body = b'{"model": "cheap", ' + (
        b"" if field == "input" else b'"messages": [{"role": "user", "content": "x"}], '
    )
    reply = await gateway.post(path, start_of_body + b'"' + field.encode() + b'": ' + nested + b"}")
    assert reply.status < 500, reply.body


@pytest.mark.parametrize("given", [[None], [{}], [True], [1.5], [""], ["a", 1], [[]], [["a"]], "", {}, 5])
async def test_what_cannot_be_embedded_is_refused(gateway: Running, given: object) -> None:
    sent = json.dumps({"model": "cheap", "input": given}).encode()
    assert_is_refusal(await gateway.post("/v1/embeddings", sent), 400)


async def test_refused_requests_leave_no_memory_behind(gateway: Running) -> None:
    async def round_of(count: int) -> int:
        for _ in range(count):
            await asyncio.gather(*(gateway.post(CHAT, b'{"messages": [' + b"1," * 20_000) for _ in range(20)))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = await round_of(10)
    after = await round_of(40)
    assert after - before < 30_000, "kilobytes; 800 requests of 40 kB each were refused in between"
