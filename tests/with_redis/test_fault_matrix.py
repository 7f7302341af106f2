"""Every fault of a provider, alone and in pairs, and what a caller sees of it. What was seen is the table in
docs/fallback.md, which `TOLLWAY_REWRITE_GOLDEN=1` writes anew.
"""

import asyncio
import json
import os
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import Reply, Running, Setup, manifest
from tests.faulty_provider import ANSWER, MODELS, FaultyProvider, faulty_provider, recorded
from tests.processes import free_port
from tollway_api import wire
from tollway_api.inventory import RawObject
from tollway_cli.embedded_redis import EmbeddedRedis

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "fallback.md"
BEGIN, END = "<!-- what the tests saw -->\n", "<!-- until here -->\n"
ALL_AT_ONCE: Final = 12
# What is told in docs/fallback.md, by the name of an act, or of an endpoint.
FAULTS: Final = {
    "429": "429",
    "408": "408",
    "slow": "no reply within the attempt's time",
    "headers and then nothing": "headers, and then nothing",
    "a beginning and then nothing": "a stream's role or half a body, and then nothing",
    "half an answer and then nothing": "a stream falls silent after it has said something",
    "500": "500",
    "503": "503",
    "409": "409",
    "402": "402, no credit",
    "404": "404, no such model",
    "200 with an error inside": "200 with an error inside",
    "an event with an error": "a stream that begins with an error",
    "a page in HTML": "200 with another content type",
    "malformed JSON": "malformed JSON, or such an event",
    "an empty reply": "an empty reply",
    "no HTTP": "what comes is not HTTP",
    "unlistened": "nobody listens",
    "unknown": "no such host",
    "untrusted": "TLS is broken",
    "reset": "the connection is reset",
    "closed": "the connection is closed without a reply",
    "cut before it says something": "cut before it has said something",
    "cut after it said something": "a stream is cut after it has said something",
    "malformed after it said something": "a malformed event after a stream has said something",
    "400 context_length_exceeded": "400 `context_length_exceeded`",
    "413": "413",
    "400 content_filter": "400 `content_filter`",
    "withheld": "an answer that is withheld (`content_filter`)",
    "blank": "an empty answer",
    "no JSON": "no JSON where that was demanded",
    "400": "400 of another kind",
    "401": "401",
    "a byte at a time": "a byte at a time",
    "usage missing": "usage missing",
    "usage negative": "usage negative",
    "usage absurd": "usage of 10¹⁸ tokens",
    "usage in words": "usage in words",
}
OF_EACH_TRIGGER: Final = {
    "RateLimit": "429",
    "Timeout": "headers and then nothing",
    "ServerError": "500",
    "Connection": "reset",
    "ContextOverflow": "400 context_length_exceeded",
    "ContentFilter": "400 content_filter",
    "EmptyAnswer": "blank",
    "InvalidJSON": "no JSON",
}


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    with faulty_provider() as started:
        yield started


@dataclass(frozen=True)
class Seen:
    """What became of one request."""

    reply: Reply
    streaming: bool
    attempts: int
    line: Mapping[str, object] = field(default_factory=dict, repr=False)  # of the log

    @property
    def cost(self) -> str:
        """What is settled, by whose count."""
        if self.line["cost_usd"] == "0":
            return "nothing"
        is_said = self.line["prompt_tokens"] and not self.line["usage_estimated"]
        return "what it says" if is_said else "an estimate"

    @property
    def failed(self) -> Sequence[str]:
        return [
            each.partition(":")[2]
            for each in self.reply.headers.get("x-tollway-failed-attempts", "").split(", ")
        ]

    @property
    def text(self) -> str:
        """Of an answer, as far as it came."""
        if not self.streaming:
            return self.reply.content
        texts = []
        for line in self.reply.body.splitlines():
            if line.startswith(b'data: {"id"'):
                choices = json.loads(line[6:])["choices"]
                texts += [each["delta"].get("content") or "" for each in choices]
        return "".join(texts)

    @property
    def said(self) -> str:
        """In the table's words."""
        if self.reply.status != 200:
            return f"{self.reply.status} `{self.reply.error['code']}`"
        if b"broke the stream off" in self.reply.body:
            return "200, and then an error event"
        return "an answer" if self.text == ANSWER else "that answer"


def endpoints(provider: FaultyProvider) -> dict[str, str]:
    """Also those where nobody answers."""
    return {
        "usual": provider.endpoint,
        "unlistened": f"http://127.0.0.1:{free_port()}/v1",
        "unknown": "http://nowhere.invalid/v1",
        "untrusted": f"https://127.0.0.1:{provider.port}/v1",
    }


def policies(provider: FaultyProvider) -> Iterator[RawObject]:
    """For each of the endpoints those that allow 0, 1 and 2 fallbacks, chosen by the name of the model asked for. Those
    who have failed are asked all the same.
    """
    for kind, endpoint in endpoints(provider).items():
        for most in (0, 1, 2):
            models = [
                {"name": name, "model": f"openai/{upstream_id}", "timeout": "5s"}
                | {"endpoint": endpoint if place < most or not place else provider.endpoint}
                for place, (name, upstream_id) in enumerate(MODELS.items())
            ]
            fallback = {
                "order": list(MODELS),
                "maxFallbacks": most,
                "triggers": list(OF_EACH_TRIGGER),
                "circuitBreaker": {"minRequests": 1_000_000},
            }
            spec = {
                "match": {"models": [f"{kind}-{most}"]},
                "models": models,
                "route": {"simpleModel": "first", "complexModel": "first"},
                "fallback": fallback,
            }
            yield manifest("RoutingPolicy", f"{kind}-{most}", spec)


@pytest.fixture
async def gateway(start: Start, provider: FaultyProvider) -> Running:
    limits = [{"name": "money", "amount": "1000"}]
    setup = Setup(provider.endpoint, provider.endpoint, acme={"limits": limits})
    return await start(setup.but(others=tuple(policies(provider))), ledger_deadline_s=30.0)


async def ask(
    gateway: Running, provider: FaultyProvider, script: str, most: int, *, stream: bool, kind: str = "usual"
) -> Seen:
    prompt = f"{script} #{kind} {most} {stream}"
    demand = {"response_format": {"type": "json_object"}}
    reply = await gateway.ask(prompt, model=f"{kind}-{most}", stream=stream, more=demand)
    asked = sum(provider.asked[prompt, name] for name in MODELS)
    failed = reply.headers.get("x-tollway-failed-attempts", "").count(":")
    attempts = failed + (reply.status == 200)
    if kind == "usual":
        assert asked == attempts, (script, reply)
    assert attempts <= 1 + most
    return Seen(reply, stream, attempts)


async def all_of(gateway: Running, asking: Sequence[Coroutine[None, None, Seen]]) -> list[Seen]:
    """A few at a time, in order; with what the log says, which is late."""
    few = asyncio.Semaphore(ALL_AT_ONCE)

    async def one(each: Coroutine[None, None, Seen]) -> Seen:
        async with few:
            return await each

    found = await asyncio.gather(*map(one, asking))
    wanted = [each.reply.headers["x-tollway-request-id"] for each in found]
    lines: dict[object, dict[str, object]] = {}
    async with asyncio.timeout(30):
        while not set(wanted) <= lines.keys():
            await asyncio.sleep(0.1)
            lines = {line.get("request_id"): line for line in gateway.log_lines()}
    return [replace(each, line=lines[request]) for each, request in zip(found, wanted, strict=True)]


async def held(ledger_redis: EmbeddedRedis) -> list[str]:
    """For requests; what a data plane sets aside for when the ledger is away is no request's."""
    async with Redis.from_url(ledger_redis.url, decode_responses=True) as redis:
        names = [str(name) for name in await redis.hkeys(wire.ledger_keys("").holds)]
    holds = [name.partition("/")[2] for name in names]
    return [hold for hold in holds if hold and not hold.startswith("lease.")]


def told(whole: object, stream: object) -> str:
    """In one cell."""
    return str(whole) if whole == stream else f"{whole}; stream: {stream}"


def asked_of(gateway: Running, provider: FaultyProvider, fault: str) -> list[Coroutine[None, None, Seen]]:
    """With 0, 1 and 2 fallbacks, each as a whole and as a stream."""
    kind = fault if fault in endpoints(provider) else "usual"
    act = "ok" if kind != "usual" else fault
    scripts = [f"{act}/ok/ok", f"{act}/ok/ok", f"{act}/{act}/ok"]
    return [
        ask(gateway, provider, script, most, stream=stream, kind=kind)
        for most, script in enumerate(scripts)
        for stream in (False, True)
    ]


def row(fault: str, found: Sequence[Seen]) -> str:
    by_most = list(zip(found[::2], found[1::2], strict=True))
    triggers = dict.fromkeys(each for seen in found for each in seen.failed if each)
    cells = [
        FAULTS[fault],
        ", ".join(f"`{each}`" for each in triggers),
        *(told(*(each.said for each in pair)) for pair in by_most),
        told(*(", ".join(str(pair[place].attempts) for pair in by_most) for place in (0, 1))),
        told(*(each.cost for each in by_most[0])),
    ]
    return f"| {' | '.join(cells)} |"


async def test_what_a_caller_sees_of_every_fault_is_what_is_documented(
    gateway: Running, provider: FaultyProvider, ledger_redis: EmbeddedRedis
) -> None:
    asking = [each for fault in FAULTS for each in asked_of(gateway, provider, fault)]
    found = await all_of(gateway, asking)
    lines = [
        "| fault | trigger | no fallback | one | two, the second fails alike | attempts | settled without a fallback |",
        "|---|---|---|---|---|---|---|",
        *[row(fault, found[6 * place : 6 * place + 6]) for place, fault in enumerate(FAULTS)],
    ]
    table = "\n".join(lines) + "\n"
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    documented, _, after = rest.partition(END)
    if os.environ.get("TOLLWAY_REWRITE_GOLDEN"):
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        documented = f"\n{table}\n"
    assert documented == f"\n{table}\n", "TOLLWAY_REWRITE_GOLDEN=1 pytest with this file writes it anew"
    assert await held(ledger_redis) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_two_faults_after_one_another_are_two_fallbacks_and_never_more(
    gateway: Running, provider: FaultyProvider, *, stream: bool
) -> None:
    """And with one fallback the second fault decides what the caller is told."""
    # What a stream says has left before all of it is known, so that it is passed on whatever it is.
    acts = {
        trigger: act for trigger, act in OF_EACH_TRIGGER.items() if not (stream and trigger == "InvalidJSON")
    }
    pairs = [(first, second) for first in acts for second in acts]
    alone = await all_of(
        gateway, [ask(gateway, provider, f"{acts[each]}/ok/ok", 0, stream=stream) for each in acts]
    )
    told_alone = dict(zip(acts, (each.said for each in alone), strict=True))
    scripts = [f"{acts[first]}/{acts[second]}/ok" for first, second in pairs]
    once = await all_of(gateway, [ask(gateway, provider, each, 1, stream=stream) for each in scripts])
    twice = await all_of(gateway, [ask(gateway, provider, each, 2, stream=stream) for each in scripts])
    for (first, second), less, more in zip(pairs, once, twice, strict=True):
        assert (less.said, less.attempts) == (told_alone[second], 2), (first, second, less.reply)
        assert (more.said, more.attempts) == ("an answer", 3), (first, second, more.reply)
        assert list(more.failed) == [first, second]


async def test_wherever_a_stream_is_cut_its_caller_has_a_whole_answer_or_is_told(
    gateway: Running, provider: FaultyProvider, ledger_redis: EmbeddedRedis
) -> None:
    """At every byte of what a provider sends, its headers and the frames of HTTP included."""
    length, said = len(recorded()), recorded().index(b'"content": "{')
    ending = recorded().index(b'"stop"')
    asking = [ask(gateway, provider, f"bytes {offset}/ok/ok", 1, stream=True) for offset in range(length + 1)]
    for offset, seen in enumerate(await all_of(gateway, asking)):
        assert seen.reply.status == 200, offset
        assert seen.said in {"an answer", "200, and then an error event"}, (offset, seen)
        assert ANSWER.startswith(seen.text), "never text of two models"
        if offset < said:
            assert (seen.said, seen.attempts) == ("an answer", 2), offset
        elif seen.attempts == 1 and (offset < ending or offset == length):
            # In between all may have come that there is, and the break with it, which is heard first.
            assert (seen.said == "an answer") == (offset == length), (offset, seen)
        assert seen.reply.body.endswith(b"data: [DONE]\n\n") == (seen.said == "an answer")
        assert seen.cost != "nothing"
    assert await held(ledger_redis) == []
