"""Whatever a caller or a provider calls things: no header, line of the log or series of a metric is made of it."""

import asyncio
import json
import re

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, Running, Setup
from tests.servers import served
from tests.with_redis.test_connections import raw

MARK = "hostile"
# What ends a header or a line, what a terminal obeys, what JSON or a metric's label is escaped for.
BREAKS = [
    "\r\n",
    "\n",
    "\r",
    "\x00",
    "\x1b[2J",
    "\x85",
    "\u2028",
    '"',
    "\\",
    "}",
    ": ",
    "\t",
    "é",
    "漢",
    "\ud800",
]
INJECTED = "set-cookie: hostile=1"
NAMES = st.lists(st.sampled_from([*BREAKS, "a", "-", "x-tollway-source"]), min_size=1, max_size=4).map(
    lambda parts: "".join([MARK, *parts, INJECTED])
)
# A reply's header is this and nothing else (RFC 9110, section 5.5).
HEADER = re.compile(rb"[a-z0-9-]+: [\x20-\x7e]*")


def names(count: int) -> list[str]:
    """So many that hypothesis makes, the same in every run."""
    found: list[str] = [f"{MARK}{each}{INJECTED}" for each in BREAKS]

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(NAMES)
    def collect(name: str) -> None:
        found.append(name)

    collect()
    return list(dict.fromkeys(found))


def bodies(name: str) -> list[dict[str, object]]:
    message = {"role": "user", "content": "What is a fjord?", "name": name}
    asked: dict[str, object] = {"model": "auto", "messages": [message], name: name, "user": name}
    return [
        asked,
        {**asked, "model": name},
        {**asked, "reasoning_effort": name, "service_tier": name, "metadata": {name: name}},
        {**asked, "messages": [{**message, "role": name}]},
    ]


def head_of(reply: bytes) -> list[bytes]:
    first, *headers = reply.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1.1 \d{3} [\x20-\x7e]*", first), first
    return headers


async def is_clean(gateway: Running) -> None:
    """What is logged and measured is as it would be of anybody."""
    await asyncio.sleep(0.3)  # the log's lines are written together
    lines = gateway.log.getvalue().split(b"\n")
    assert not any(byte < 0x20 for line in lines for byte in line), (
        "nothing but the end of a line ends a line"
    )
    assert all(isinstance(json.loads(line), dict) for line in lines if line)
    assert MARK not in str(await gateway.metrics())


async def test_a_callers_names_end_in_no_header_no_line_and_no_label(gateway: Running) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    assert (await gateway.ask("What is a fjord?")).status == 200
    for name in names(40):
        for body in bodies(name):
            sent = json.dumps(body).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {ACME_KEY}\r\n"
                f"content-length: {len(sent)}\r\nconnection: close\r\n\r\n"
            )
            reply = await raw(gateway, head.encode() + sent)
            for header in head_of(reply):
                assert HEADER.fullmatch(header), header
                assert MARK.encode() not in header
    await is_clean(gateway)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_providers_words_end_in_no_header_no_line_and_no_label(
    start: Start, setup: Setup, status: int
) -> None:
    found = iter(names(10) * 8)

    async def complete(_: Request) -> Response:
        name = next(found).replace("\ud800", "")
        answer = {
            "id": name, "object": "chat.completion", "created": 1, "model": name, "service_tier": name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, name: 1},
            **({"error": {"message": name, "code": name, "type": name}} if status != 200 else {}),
        }  # fmt: skip
        headers = {
            "x-request-id": MARK,
            "retry-after": MARK,
            "x-tollway-source": MARK,
            "set-cookie": INJECTED,
        }
        return Response(orjson.dumps(answer), status, headers, "application/json")

    with served(Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])) as url:
        gateway = await start(setup.but(cheap=f"{url}/v1", rich=f"{url}/v1"))
        for number in range(20):
            reply = await gateway.ask(f"What is number {number}?")
            assert reply.status in {200, 400, 503}
            assert MARK not in str(reply.headers)
        await is_clean(gateway)
