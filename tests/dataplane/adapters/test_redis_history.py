"""What a server is told again after it took over or was started: no more than it may have lost."""

import asyncio
from typing import Any

import pytest

from tollway_dataplane.adapters import redis_history
from tollway_dataplane.adapters.redis_history import ToldLately


class Server:
    """Says which history it goes on from."""

    history = "first"

    async def info(self, _section: str) -> dict[str, str]:
        return {"master_replid": self.history}


async def test_who_was_idle_does_not_tell_again_what_has_long_been_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_history, "TOLD_S", 0.05)
    server: Any = Server()
    told = ToldLately[str](server, 1.0)
    assert await told.perhaps_lost() == []
    told.note("old")
    await asyncio.sleep(0.1)
    assert await told.perhaps_lost() == [], "it goes on as before"
    server.history = "second"
    assert await told.perhaps_lost() == []


async def test_what_was_told_just_before_is_told_again_once_however_long_nobody_could_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_history, "TOLD_S", 0.05)
    server: Any = Server()
    told = ToldLately[str](server, 1.0)
    await told.perhaps_lost()
    told.note("new")
    await asyncio.sleep(0.1)
    server.history = "second"
    assert await told.perhaps_lost() == ["new"]
    assert await told.perhaps_lost() == []
