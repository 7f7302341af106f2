"""What becomes of replies that no provider should send, whole and as streams, with and without a budget: none of them
ends in an error of ours, and nobody is told of a key.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup, secret, until
from tests.faulty_provider import head
from tests.servers import Provider

KEY: Final = "correct-horse-battery-staple"
PATIENT: Final = {"circuitBreaker": {"minRequests": 1_000_000}}
ODD: Final[tuple[object, ...]] = (7, "odd", ["odd"], {"odd": [[{}]]})
MESSAGE: Final = {"role": "assistant", "content": "Fine.", "tool_calls": None}
CHOICE: Final = {"index": 0, "finish_reason": "stop"}
REPLY: Final = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}


def vectors(*several: object) -> dict[str, object]:
    data = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(several)]
    return {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}


@dataclass
class Scripted:
    """A provider that answers every request with the same bytes."""

    reply: bytes = b""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            writer.write(self.reply)
            await writer.drain()

    def says(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        length = f"content-length: {len(body)}\r\n"
        self.reply = head(status, content_type, length) + body


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    found = Scripted()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield found


def event(fields: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def with_odd(name: str, field: str, odd: object) -> dict[str, object]:
    """A reply with something odd in one place; `name` is "message" or "delta"."""
    message: dict[str, object] = {**MESSAGE, field: odd} if field in MESSAGE else {**MESSAGE}
    choice = {**CHOICE, name: odd if field == name else message}
    if field in {"index", "finish_reason", "logprobs"}:
        choice[field] = odd
    choices = odd if field == "choices" else [odd] if field == "choice" else [choice]
    reply: dict[str, object] = {**REPLY, "usage": USAGE, "choices": choices}
    return {**reply, field: odd} if field in {*REPLY, "usage", "error"} else reply


# What a provider says that it used, and what of it can be meant.
HALVES: Final[tuple[tuple[Mapping[str, int], Mapping[str, int]], ...]] = (
    ({"prompt_tokens": 1_000}, {"prompt_tokens": 1_000}),
    ({"prompt_tokens": 1_000, "completion_tokens": -5, "total_tokens": 995}, {"prompt_tokens": 1_000}),
    ({"completion_tokens": 700}, {"completion_tokens": 700}),
    ({"prompt_tokens": 10**18, "completion_tokens": 700}, {"completion_tokens": 700}),
)
FIELDS: Final = (
    *("choices", "choice", "index", "finish_reason", "logprobs", "content", "tool_calls", "role"),
    *("usage", "model", "created", "error"),
)


@pytest.mark.parametrize("amount", [None, "1000", "0.01"], ids=["no budget", "plenty", "tight"])
async def test_nothing_odd_in_a_reply_is_an_error_of_ours(
    start: Start, setup: Setup, scripted: Scripted, amount: str | None
) -> None:
    acme = {} if amount is None else {"limits": [{"name": "money", "amount": amount}]}
    policy = {"fallback": PATIENT, "cache": None}
    gateway = await start(setup.but(cheap=scripted.url, policy=policy, acme=acme))
    found = []
    for field in (*FIELDS, "message"):
        for odd in ODD:
            scripted.says(json.dumps(with_odd("message", field, odd)).encode())
            found.append((field, odd, await gateway.ask("What is a fjord?", max_tokens=9)))
            chunk = with_odd("delta", "delta" if field == "message" else field, odd)
            scripted.says(event(chunk) + b"data: [DONE]\n\n", content_type="text/event-stream")
            found.append((field, odd, await gateway.ask("What is a fjord?", stream=True, max_tokens=9)))
    wrong = [(field, odd, reply.status) for field, odd, reply in found if reply.status not in {200, 429, 503}]
    assert not wrong
    assert [each for each in gateway.log_lines() if each.get("level") in {"error", "critical"}] == []


@pytest.mark.parametrize(
    ("reply", "trigger"),
    [
        (with_odd("message", "finish_reason", {}), "ServerError"),
        (with_odd("message", "finish_reason", []), "ServerError"),
        (with_odd("message", "choices", {"0": 1}), "ServerError"),
        (with_odd("message", "choice", "a"), "ServerError"),
        (with_odd("message", "message", "hi"), "ServerError"),
        (with_odd("message", "message", None), "EmptyAnswer"),
        (with_odd("message", "message", {}), "EmptyAnswer"),
    ],
)
async def test_what_is_no_answer_is_not_passed_on(
    start: Start, setup: Setup, scripted: Scripted, rich: Provider, reply: dict[str, object], trigger: str
) -> None:
    gateway = await start(setup.but(cheap=scripted.url, policy={"fallback": PATIENT}))
    scripted.says(json.dumps(reply).encode())
    told = await gateway.ask("What is a fjord?")
    assert (told.status, told.headers["x-tollway-model"]) == (200, "rich")
    assert told.headers["x-tollway-failed-attempts"] == f"cheap:{trigger}"


async def line_of(gateway: Running, number: int) -> Mapping[str, object]:
    """In the log, which is written behind the reply."""
    await until(lambda: len(gateway.requests()) >= number)
    return gateway.requests()[number - 1]


# LiteLLM and what it imports warn about themselves.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "mistral/mistral-small-latest"])
async def test_a_half_of_which_a_provider_says_nothing_is_paid_for_all_the_same(
    start: Start, setup: Setup, scripted: Scripted, model: str, *, stream: bool
) -> None:
    cheap = {"model": model, "credentialsRef": {"name": "provider"}}
    policy = {"cache": None, "fallback": {"maxFallbacks": 0}}
    changes = setup.but(cheap=scripted.url, cheap_model=cheap, policy=policy)
    gateway = await start(changes.but(others=(secret("provider", KEY),)))
    for number, (usage, said) in enumerate(HALVES, start=1):
        choice = {**CHOICE, "delta" if stream else "message": MESSAGE}
        reply = {**REPLY, "choices": [choice], "usage": usage}
        if stream:
            scripted.says(event(reply) + b"data: [DONE]\n\n", content_type="text/event-stream")
        else:
            scripted.says(json.dumps(reply).encode())
        told = await gateway.ask("What is a fjord?", stream=stream)
        assert told.status == 200, told.body
        line = await line_of(gateway, number)
        used = {each: int(str(line[each])) for each in ("prompt_tokens", "completion_tokens")}
        assert {each: used[each] for each in said} == said
        assert all(0 < tokens < 100 for each, tokens in used.items() if each not in said), used
        assert line["usage_estimated"] is True


async def with_key(start: Start, setup: Setup, scripted: Scripted, model: str) -> Running:
    cheap = {"model": model, "credentialsRef": {"name": "provider"}}
    secrets = (secret("provider", KEY),)
    return await start(
        setup.but(cheap=scripted.url, cheap_model=cheap, others=secrets, policy={"fallback": PATIENT})
    )


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "mistral/mistral-small-latest"])
async def test_no_part_of_our_key_is_told_wherever_a_provider_repeats_it(
    start: Start, setup: Setup, scripted: Scripted, model: str
) -> None:
    gateway = await with_key(start, setup, scripted, model)
    for before in (0, 470, 480, 490, 498):
        error = {"error": {"message": "." * before + " " + KEY, "code": None}}
        scripted.says(json.dumps(error).encode(), status=400)
        reply = await gateway.ask("What is a fjord?")
        assert reply.status == 400
        assert "." * before in reply.error["message"], "what it says is told"
        assert b"cor" not in reply.body
    assert KEY[:4] not in gateway.log.getvalue().decode()


@pytest.mark.parametrize("body", [json.dumps(with_odd("message", "finish_reason", {})).encode(), b"[1]"])
async def test_what_litellm_cannot_read_is_no_broken_connection(
    start: Start, setup: Setup, scripted: Scripted, body: bytes
) -> None:
    gateway = await with_key(start, setup, scripted, "mistral/mistral-small-latest")
    scripted.says(body)
    told = await gateway.ask("What is a fjord?")
    assert (told.status, told.headers["x-tollway-failed-attempts"]) == (200, "cheap:ServerError")


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"object": "error"}, {"data": 7}, {"data": [{"embedding": []}]}),
        *(vectors(["a"]), vectors([[1.0]]), vectors([1.0], [1.0]), vectors([math.nan])),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "mistral/mistral-embed"])
async def test_what_are_no_vectors_is_not_passed_on(
    start: Start, setup: Setup, scripted: Scripted, model: str, body: object
) -> None:
    gateway = await with_key(start, setup, scripted, model)
    scripted.says(json.dumps(body).encode())
    told = await gateway.post("/v1/embeddings", json.dumps({"model": "cheap", "input": "x"}).encode())
    assert (told.status, told.headers["x-tollway-failed-attempts"]) == (503, "cheap:ServerError")
