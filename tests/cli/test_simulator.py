"""The simulated provider keeps its promises: tests of everything else believe what it says."""

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests import loopback
from tests.processes import free_port, run, started, wait_for
from tests.servers import provider
from tollway_cli.simulator.answers import answer_for, count_tokens
from tollway_cli.simulator.latency import parse_latency

PROMPT = "Why is the sky blue?"
MESSAGES = [{"role": "user", "content": PROMPT}]


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with provider("sim") as simulated, _client(simulated.endpoint) as client:
        yield client


def _client(endpoint: str, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=endpoint, api_key=key, max_retries=0, timeout=5)


def _ask(client: openai.OpenAI, **more: object) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": MESSAGES, **more}
    return loopback.post(f"{client.base_url}chat/completions", json=body, timeout=5)


def test_an_answer_is_a_function_of_the_prompt_and_its_usage_is_real(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": PROMPT}]
    )
    text = completion.choices[0].message.content
    assert text == answer_for("sim", "gpt-4o", PROMPT)
    assert text != answer_for("sim", "gpt-4o", "Why is grass green?")
    assert completion.usage is not None
    assert completion.usage.completion_tokens == count_tokens("gpt-4o", text)
    assert completion.usage.prompt_tokens >= count_tokens("gpt-4o", PROMPT)


def test_a_stream_gives_the_same_answer_and_usage_only_when_asked(client: openai.OpenAI) -> None:
    whole = _ask(client).json()
    events = list(
        client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": PROMPT}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [event.choices[0].delta.content or "" for event in events if event.choices]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert events[-1].usage is not None
    assert events[-1].usage.model_dump(exclude_none=True) == whole["usage"]
    without = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": PROMPT}], stream=True
    )
    assert all(event.usage is None for event in without)


def test_a_bound_on_tokens_cuts_the_answer_and_says_so(client: openai.OpenAI) -> None:
    completion = _ask(client, max_tokens=3).json()
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rate-limit", 429), ("server-error", 500), ("unavailable", 503), ("context-length", 400)],
)
def test_faults_have_their_status_and_the_provider_s_words(
    client: openai.OpenAI, kind: str, status: int
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": PROMPT}],
            extra_headers={"x-simulate-fault": kind},
        )
    assert caught.value.status_code == status
    assert (caught.value.response.headers.get("retry-after") is not None) == (kind == "rate-limit")
    assert (caught.value.code == "context_length_exceeded") == (kind == "context-length")


def test_a_reset_breaks_the_connection_and_a_cut_breaks_the_stream() -> None:
    with provider("sim") as simulated, httpx.Client() as http:
        body = {"model": "gpt-4o", "messages": MESSAGES, "stream": True}
        url = f"{simulated.endpoint}/chat/completions"
        with pytest.raises(httpx.TransportError):
            http.post(url, json=body, headers={"x-simulate-fault": "reset"})
        with http.stream("POST", url, json=body, headers={"x-simulate-fault": "cut"}) as response:
            chunks: list[bytes] = []
            with pytest.raises(httpx.RemoteProtocolError):
                chunks.extend(response.iter_bytes())
        assert b"data: " in b"".join(chunks)
        assert b"[DONE]" not in b"".join(chunks)


def test_a_stall_begins_an_answer_and_leaves_it_at_that() -> None:
    with provider("sim") as simulated, pytest.raises(httpx.ReadTimeout):
        loopback.post(
            f"{simulated.endpoint}/chat/completions",
            json={"model": "gpt-4o", "messages": MESSAGES},
            headers={"x-simulate-fault": "stall"},
            timeout=0.3,
        )


def test_the_context_window_is_counted_in_tokens_of_the_prompt() -> None:
    with provider("sim", context_window=20) as simulated, _client(simulated.endpoint) as client:
        assert _ask(client).status_code == 200
        long = _ask(client, messages=[{"role": "user", "content": "word " * 30}])
        assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_anthropic_s_shape_whole_and_streamed() -> None:
    with provider("sim") as simulated:
        body = {"model": "claude", "max_tokens": 500, "messages": MESSAGES}
        url = f"{simulated.endpoint}/messages"
        message = loopback.post(url, json=body).json()
        assert message["stop_reason"] == "end_turn"
        assert message["content"] == [{"type": "text", "text": answer_for("sim", "claude", PROMPT)}]
        assert message["usage"]["output_tokens"] == count_tokens("claude", message["content"][0]["text"])
        text = loopback.post(url, json={**body, "stream": True}).text
        names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
        assert names[0] == "message_start"
        assert names[-2:] == ["message_delta", "message_stop"]
        assert names.count("content_block_delta") == message["usage"]["output_tokens"]
        assert (
            loopback.post(url, json=body, headers={"x-simulate-fault": "unavailable"}).json()["type"]
            == "error"
        )


def _statuses(seed: int) -> list[int]:
    with provider("sim", seed=seed) as simulated, _client(simulated.endpoint) as client:
        faults = {"faults": [{"kind": "server-error", "probability": 0.5}]}
        simulated.http.put(f"{simulated.url}/control/faults", json=faults).raise_for_status()
        return [_ask(client).status_code for _ in range(24)]


def test_a_seed_makes_a_run_repeatable() -> None:
    first = _statuses(7)
    assert first == _statuses(7)
    assert set(first) == {200, 500}
    assert first != _statuses(8)


def test_faults_strike_one_model_and_end_after_so_many_times(client: openai.OpenAI) -> None:
    control = str(client.base_url).removesuffix("/v1/") + "/control/faults"
    faults = {"faults": [{"kind": "server-error", "model": "gpt-4o", "times": 1}]}
    httpx.put(control, json=faults).raise_for_status()
    assert _ask(client, model="other").status_code == 200
    assert [_ask(client).status_code for _ in range(2)] == [500, 200]
    assert httpx.put(control, json={"faults": [{"kind": "no-such"}]}).status_code == 400


def test_it_tells_what_it_would_bill_and_never_a_key() -> None:
    with provider("sim", require_key="secret-key") as simulated:
        with _client(simulated.endpoint, "wrong") as stranger, pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
        with _client(simulated.endpoint, "secret-key") as client:
            usage = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": PROMPT}]
            ).usage
        assert usage is not None
        seen = simulated.seen()
        assert seen["total"] == 1
        assert seen["tokens"] == {"m": {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}}
        assert "secret-key" not in str(seen)


def test_each_user_has_a_bill_of_what_was_written_until_they_left() -> None:
    with provider("sim", tokens_per_second=50.0) as simulated, httpx.Client() as http:
        body = {"model": "gpt-4o", "messages": MESSAGES, "stream": True, "user": "acme"}
        url = f"{simulated.endpoint}/chat/completions"
        received = b""
        with http.stream("POST", url, json=body) as response:
            for data in response.iter_bytes():
                received += data
                if received.count(b'"content":"') > 10:
                    break
        wait_for(lambda: simulated.seen()["in_flight"] == 0, "it has noticed")
        bills = simulated.seen()["bills"]
        assert isinstance(bills, dict)
        assert bills.keys() == {"acme"}
        assert (
            10
            <= bills["acme"]["gpt-4o"]["completion"]
            < count_tokens("gpt-4o", answer_for("sim", "gpt-4o", PROMPT))
        )


@pytest.mark.parametrize("stream", [False, True])
def test_it_may_say_nothing_of_what_was_used_or_bill_ten_times_as_much(
    client: openai.OpenAI, stream: bool
) -> None:
    url = f"{client.base_url}chat/completions"
    body = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream}
    body |= {"stream_options": {"include_usage": True}} if stream else {}
    silent = loopback.post(url, json=body, headers={"x-simulate-fault": "silent"})
    assert b'"completion_tokens"' not in silent.content
    dear = loopback.post(url, json=body, headers={"x-simulate-fault": "dear"})
    written = count_tokens("gpt-4o", answer_for("sim", "gpt-4o", PROMPT))
    assert f'"completion_tokens":{10 * written}'.encode() in dear.content


def test_latencies_have_the_distribution_that_was_asked_for() -> None:
    draw = random.Random(1)  # noqa: S311 - not for secrets
    assert {parse_latency("fixed:200ms").draw(draw) for _ in range(3)} == {0.2}
    uniform = [parse_latency("uniform:100ms,400ms").draw(draw) for _ in range(500)]
    assert 0.1 <= min(uniform) < 0.15
    assert 0.35 < max(uniform) <= 0.4
    lognormal = sorted(parse_latency("lognormal:200ms,0.3").draw(draw) for _ in range(2_001))
    assert 0.18 < lognormal[1_000] < 0.22
    with pytest.raises(ValueError, match="is not a latency; write"):
        parse_latency("gauss:3")


def test_the_command_serves_it_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port = free_port()
    arguments = ["simulate", "--listen", f"127.0.0.1:{port}", "--fault", "unavailable:1:bad"]
    with started(tmp_path / "simulate.log", "tollway_cli", *arguments):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: loopback.get(f"{url}/healthz").status_code == 200, "the simulator answers")
        body = {"model": "good", "messages": MESSAGES}
        assert loopback.post(f"{url}/v1/chat/completions", json=body).status_code == 200
        assert loopback.post(f"{url}/v1/chat/completions", json={**body, "model": "bad"}).status_code == 503
    done = run("tollway_cli", "simulate", "--fault", "nonsense")
    assert done.returncode == 2
    assert "Kinds:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_breaks_connections_as_well(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path / "simulate.log", "tollway_cli", "simulate", "--listen", f"127.0.0.1:{port}"):
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        body = {"model": "gpt-4o", "messages": MESSAGES}
        wait_for(lambda: loopback.post(url, json=body).status_code == 200, "it answers")
        with pytest.raises(httpx.TransportError):
            loopback.post(url, json=body, headers={"x-simulate-fault": "reset"})
