"""Every fault of a provider, alone and in pairs, and what a caller sees of it. What was seen is the table in
docs/fallback.md, which `TOLLWAY_REWRITE_GOLDEN=1` writes anew. A provider that LiteLLM asks has each fault alone, and
what is not the same is a table of its own.
"""

import asyncio
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import Reply, Running, Setup, manifest
from tests.faulty_provider import ANSWER, MODELS, FaultyProvider, faulty_provider, recorded
from tests.processes import free_port
from tests.proxies import Ending, Fault, proxy
from tollway_api import wire
from tollway_api.inventory import RawObject
from tollway_cli.embedded_redis import EmbeddedRedis

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "fallback.md"
BEGIN, END = "<!-- what the tests saw -->\n", "<!-- until here -->\n"
BEGIN_LITELLM: Final = "<!-- what they saw through LiteLLM -->\n"
ALL_AT_ONCE: Final = 12
# Who waits for nothing to come keeps no processor from the others, and is not one of these.
HANGING: Final = {
    *("slow", "headers and then nothing", "a beginning and then nothing", "half an answer and then nothing"),
    *("silent", "reset-after", "reset-within"),
}
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
    "401": "401, a key that is refused",
    "402": "402, no credit",
    "403": "403, what is forbidden",
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
    "reset-before": "reset on the way, before the headers",
    "reset-after": "reset on the way, after the headers",
    "reset-within": "reset on the way, after a stream has said something",
    "silent": "silence on the way, after the headers",
    "closed-within": "closed on the way, after a stream has said something",
    "half-closed": "half-closed on the way, after a stream has said something",
    "byte-by-byte": "a byte at a time on the way",
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
    "a byte at a time": "a byte at a time",
    "usage missing": "usage missing",
    "usage negative": "usage negative",
    "usage absurd": "usage of 10¹⁸ tokens",
    "usage in words": "usage in words",
}
# One of each trigger at least, to be paired.
TRIGGERS: Final = {
    "429": "RateLimit",
    "headers and then nothing": "Timeout",
    "500": "ServerError",
    "reset": "Connection",
    "unlistened": "Connection",
    "unknown": "Connection",
    "untrusted": "Connection",
    "400 context_length_exceeded": "ContextOverflow",
    "400 content_filter": "ContentFilter",
    "blank": "EmptyAnswer",
    "no JSON": "InvalidJSON",
}
USUAL: Final = "usual"
# How the first model is asked: directly, and through LiteLLM, as one that has OpenAI's format on the wire.
DIRECT, LITELLM = "openai", "mistral"
# Where nobody answers.
ENDPOINTS: Final = ("unlistened", "unknown", "untrusted")
# What a TCP proxy makes of good answers. The heads end with an empty line, and "Tue" is in the middle of what is said.
HEAD, WORD = b"\r\n\r\n", b"Tue"
ON_THE_WAY: Final = {
    "reset-before": Fault(b"", Ending.RESET),
    "reset-after": Fault(HEAD, Ending.RESET),
    "reset-within": Fault(WORD, Ending.RESET),
    "silent": Fault(HEAD, Ending.SILENT),
    "closed-within": Fault(WORD, Ending.CLOSED),
    "half-closed": Fault(WORD, Ending.HALF_CLOSED),
    "byte-by-byte": Fault(at_once=1),
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


@pytest.fixture
def endpoints(provider: FaultyProvider) -> Iterator[Mapping[str, str]]:
    """Also those where nobody answers, and those on the way to which something breaks."""
    with ExitStack() as stack:
        ways = {
            name: stack.enter_context(proxy(provider.endpoint, fault=fault))
            for name, fault in ON_THE_WAY.items()
        }
        yield {
            USUAL: provider.endpoint,
            "unlistened": f"http://127.0.0.1:{free_port()}/v1",
            "unknown": "http://nowhere.invalid/v1",
            "untrusted": f"https://127.0.0.1:{provider.port}/v1",
            **{name: f"{way.url}/v1" for name, way in ways.items()},
        }


def policies(known: Mapping[str, str]) -> Iterator[RawObject]:
    """For each two endpoints, of the first and the second model, those that allow 0, 1 and 2 fallbacks, chosen by the
    name of the model asked for; and for each endpoint of a first model that LiteLLM asks those that allow 0 and 1.
    What breaks on the way is paired with itself alone.
    """
    paired = [USUAL, *ENDPOINTS]
    pairs = [
        *itertools.product(paired, paired),
        *((each, other) for each in ON_THE_WAY for other in (USUAL, each)),
    ]
    for kinds, most in itertools.product(pairs, (0, 1, 2)):
        yield policy(known, kinds, most, DIRECT)
    for kind, most in itertools.product(known, (0, 1)):
        yield policy(known, (kind, USUAL), most, LITELLM)


def policy(known: Mapping[str, str], kinds: Sequence[str], most: int, way: str) -> RawObject:
    """Those who have failed are asked all the same."""
    models: list[dict[str, object]] = [
        {"name": name, "model": f"openai/{upstream_id}", "timeout": "5s", "endpoint": known[kind]}
        for kind, (name, upstream_id) in zip((*kinds, USUAL), MODELS.items(), strict=True)
    ]
    if way == LITELLM:
        models[0] |= {"model": f"{way}/{MODELS['first']}", "pricing": {"input": "1", "output": "5"}}
    fallback = {
        "order": list(MODELS),
        "maxFallbacks": most,
        "triggers": sorted(set(TRIGGERS.values())),
        "circuitBreaker": {"minRequests": 1_000_000},
    }
    spec = {
        "match": {"models": [named(kinds, most, way)]},
        "models": models,
        "route": {"simpleModel": "first", "complexModel": "first"},
        "fallback": fallback,
    }
    return manifest("RoutingPolicy", named(kinds, most, way), spec)


def named(kinds: Sequence[str], most: int, way: str) -> str:
    return f"{way}-{'-'.join(kinds)}-{most}"


@pytest.fixture
async def gateway(start: Start, provider: FaultyProvider, endpoints: Mapping[str, str]) -> Running:
    limits = [{"name": "money", "amount": "1000"}]
    setup = Setup(provider.endpoint, provider.endpoint, acme={"limits": limits})
    return await start(setup.but(others=tuple(policies(endpoints))), ledger_deadline_s=30.0)


@dataclass(frozen=True)
class Asking:
    """A request whose first models fail in these ways, each an act of the provider's or an endpoint."""

    faults: Sequence[str]
    most: int
    streaming: bool
    way: str = DIRECT

    @property
    def waits(self) -> bool:
        return not HANGING.isdisjoint(self.faults)


async def ask(gateway: Running, provider: FaultyProvider, asking: Asking) -> Seen:
    faults, stream = asking.faults, asking.streaming
    elsewhere = {*ENDPOINTS, *ON_THE_WAY}
    kinds = [each if each in elsewhere else USUAL for each in (*faults, "ok")][:2]
    acts = ["ok" if each in elsewhere else each for each in (*faults, "ok", "ok")][: len(MODELS)]
    prompt = f"{'/'.join(acts)} #{asking.way} {' '.join(kinds)} {asking.most} {stream}"
    demand = {"response_format": {"type": "json_object"}}
    reply = await gateway.ask(prompt, model=named(kinds, asking.most, asking.way), stream=stream, more=demand)
    asked = sum(provider.asked[prompt, name] for name in MODELS)
    failed = reply.headers.get("x-tollway-failed-attempts", "").count(":")
    attempts = failed + (reply.status == 200)
    assert asked == attempts - sum(each in ENDPOINTS for each in faults[:attempts]), (asking, reply)
    assert attempts <= 1 + asking.most
    return Seen(reply, stream, attempts)


async def all_of(gateway: Running, provider: FaultyProvider, several: Sequence[Asking]) -> list[Seen]:
    """A few at a time; with what the log says, which is late."""
    few = asyncio.Semaphore(ALL_AT_ONCE)

    async def one(asking: Asking) -> Seen:
        async with nullcontext() if asking.waits else few:
            return await ask(gateway, provider, asking)

    found = await asyncio.gather(*map(one, several))
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


def asked_of(fault: str) -> list[Asking]:
    """With 0, 1 and 2 fallbacks, each as a whole and as a stream."""
    faults = enumerate([[fault], [fault], [fault, fault]])
    return [Asking(each, most, stream) for most, each in faults for stream in (False, True)]


def asked_through_litellm(fault: str) -> list[Asking]:
    """With no fallback, and with one, which is asked directly."""
    return [Asking([fault], most, stream, LITELLM) for most in (0, 1) for stream in (False, True)]


def cells(fault: str, found: Sequence[Seen]) -> list[str]:
    """Of a row, from what was seen of whole answers and of streams by turns, with ever more fallbacks."""
    by_most = list(zip(found[::2], found[1::2], strict=True))
    triggers = dict.fromkeys(each for seen in found for each in seen.failed if each)
    return [
        FAULTS[fault],
        ", ".join(f"`{each}`" for each in triggers),
        *(told(*(each.said for each in pair)) for pair in by_most),
        told(*(", ".join(str(pair[place].attempts) for pair in by_most) for place in (0, 1))),
        told(*(each.cost for each in by_most[0])),
    ]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(each)} |" for each in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]]) + "\n"


def undocumented(seen: str, begin: str) -> set[str]:
    """Rows of the one and not of the other."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(begin)
    documented, _, after = rest.partition(END)
    if os.environ.get("TOLLWAY_REWRITE_GOLDEN"):
        DOCUMENT.write_text(f"{before}{begin}\n{seen}\n{END}{after}", encoding="utf-8")
        return set()
    return set(documented.splitlines()) ^ set(f"\n{seen}\n".splitlines())


async def test_what_a_caller_sees_of_every_fault_is_what_is_documented(
    gateway: Running, provider: FaultyProvider, ledger_redis: EmbeddedRedis
) -> None:
    several = [each for fault in FAULTS for each in (*asked_of(fault), *asked_through_litellm(fault))]
    found = iter(await all_of(gateway, provider, several))
    rows, others = [], []
    for fault in FAULTS:
        direct = list(itertools.islice(found, len(asked_of(fault))))
        through = list(itertools.islice(found, len(asked_through_litellm(fault))))
        rows.append(cells(fault, direct))
        if cells(fault, through) != cells(fault, direct[: len(through)]):
            others.append(cells(fault, through))
    heads = ("fault", "trigger", "no fallback", "one", "two, the second fails alike")
    last = ("attempts", "settled without a fallback")
    new = undocumented(table((*heads, *last), rows), BEGIN)
    new |= undocumented(table((*heads[:-1], *last), others), BEGIN_LITELLM)
    assert new == set(), "TOLLWAY_REWRITE_GOLDEN=1 pytest with this file writes it anew"
    assert await held(ledger_redis) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_two_faults_after_one_another_are_two_fallbacks_and_never_more(
    gateway: Running, provider: FaultyProvider, *, stream: bool
) -> None:
    """And with one fallback the second fault decides what the caller is told."""
    # What a stream says has left before all of it is known, so that it is passed on whatever it is.
    faults = {
        fault: trigger for fault, trigger in TRIGGERS.items() if not (stream and trigger == "InvalidJSON")
    }
    pairs = list(itertools.product(faults, faults))
    alone, once, twice = [
        [Asking([each], 0, stream) for each in faults],
        *([Asking(pair, most, stream) for pair in pairs] for most in (1, 2)),
    ]
    found = iter(await all_of(gateway, provider, [*alone, *once, *twice]))
    told_alone = {each: next(found).said for each in faults}
    for (_, second), less in zip(pairs, found, strict=False):
        assert (less.said, less.attempts) == (told_alone[second], 2), less
    for (first, second), more in zip(pairs, found, strict=True):
        assert (more.said, more.attempts) == ("an answer", 3), more
        assert list(more.failed) == [faults[first], faults[second]]


async def test_wherever_a_stream_is_cut_its_caller_has_a_whole_answer_or_is_told(
    gateway: Running, provider: FaultyProvider, ledger_redis: EmbeddedRedis
) -> None:
    """At every byte of what a provider sends, its headers and the frames of HTTP included."""
    length, said = len(recorded()), recorded().index(b'"content": "{')
    ending = recorded().index(b'"stop"')
    several = [Asking([f"bytes {offset}"], 1, True) for offset in range(length + 1)]
    for offset, seen in enumerate(await all_of(gateway, provider, several)):
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
