"""What LiteLLM does beside calling a provider: it speaks to nobody but the endpoint it is given, whichever provider
that is, and imports next to nothing where everybody would wait for it.
"""

import subprocess
import sys

import pytest

# In a process of its own, since a hook that hears of every connection stays as long as the process.
ASKS_ALL = """
import asyncio, contextlib, sys
reached = set()
def hear(event, arguments):
    if event == "socket.connect":
        reached.add(repr(arguments[1]))
    if event == "socket.getaddrinfo":
        reached.add(repr(arguments[:2]))
sys.addaudithook(hear)

from tests.dataplane.providers.wires import WIRES, streamed
from tests.dataplane.providers.wire import REQUEST, serving
from tollway_api.reach import OWN
from tollway_api.snapshot import Protocol
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream

async def main():
    upstream = LiteLLMUpstream(OWN)
    await upstream.load()
    for wire in WIRES:
        if wire.model.protocol is not Protocol.LITELLM:
            continue
        with serving(wire) as server:
            host, _, port = server.url.removeprefix("http://").partition(":")
            await upstream.complete(server.call(REQUEST))
            await streamed(upstream, server.call(REQUEST))
            server.failure = next(iter(wire.failures.values()))
            with contextlib.suppress(Exception):
                await upstream.complete(server.call())
            own = {repr((host, int(port))), repr((host, port)), repr((host.encode(), int(port)))}
            print(wire.name, "asked", len(server.seen), "strangers", sorted(reached - own))
            reached.clear()

asyncio.run(main())
"""

IMPORTS = """
import asyncio, sys, threading
from tests.dataplane.providers.wires import WIRES, streamed
from tests.dataplane.providers.wire import REQUEST, serving
from tollway_api.snapshot import Protocol
from tollway_api.reach import OWN
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream

on_loop = []
def hear(event, arguments):
    if event == "import" and threading.current_thread() is threading.main_thread():
        on_loop.append(arguments[0])
sys.addaudithook(hear)

async def main():
    upstream = LiteLLMUpstream(OWN)
    for wire in reversed(WIRES):  # from those with least to import
        if wire.model.protocol is not Protocol.LITELLM:
            continue
        on_loop.clear()
        await upstream.load([wire.model])
        assert not any(name.startswith(("litellm", "openai", "boto")) for name in on_loop), on_loop
        with serving(wire) as server:
            on_loop.clear()
            await upstream.complete(server.call(REQUEST))
            await streamed(upstream, server.call(REQUEST))
            first = [name for name in on_loop if name in sys.modules]
            others = sorted({name.partition(".")[0] for name in first} - {"litellm"})
            print(wire.name, "others", others, "many" if len(first) > 30 else "few")

asyncio.run(main())
"""


def lines_of(program: str) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own program
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_only_the_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM likes to fetch its price table, and to ask an Ollama on this machine."""
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP", raising=False)
    said = lines_of(ASKS_ALL)
    assert len(said) == 6
    assert [line for line in said if not line.endswith("asked 3 strangers []")] == []


def test_a_first_call_imports_next_to_nothing_on_the_event_loop() -> None:
    """It is imported in a thread, before a snapshot is run that has use for it, with what calls of the providers that
    the snapshot has import late.
    """
    calls = lines_of(IMPORTS)
    assert len(calls) == 6
    assert [line for line in calls if not line.endswith("others [] few")] == []
