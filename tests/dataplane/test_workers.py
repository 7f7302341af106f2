"""How workers are kept running, with commands that end at once or when they are told."""

import asyncio
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.processes import is_alive
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.workers import Command, Patience, Workers, WorkersError

_WAITS_S = 60.0
_PATIENCE = Patience(_WAITS_S)
_HASTY = Patience(_WAITS_S, first_pause_s=0.01, ask_every_s=0.01)
_GOES_ON = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit({status})); print(flush=True); "
)
_SLEEPS = _GOES_ON + "time.sleep(600)"
_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
)


class Kept:
    def __init__(self, output: IO[str], *programs: str, patience: Patience = _PATIENCE) -> None:
        self.silent: set[int] = set()  # workers that do not answer
        self.deaf: set[int] = set()  # workers that do not listen either
        self.is_slow = False  # just often enough
        self.asked: Counter[int] = Counter()
        self.restarted: list[int] = []
        self.log = io.BytesIO()
        self.output = output
        self.stop = asyncio.Event()
        commands = [Command((sys.executable, "-c", program), os.environ) for program in programs]
        self.workers = Workers(
            commands, JsonLog(self.log), patience, self.lives, self.restarted.append, self.output
        )

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(_WAITS_S):
            while not met():  # noqa: ASYNC110 - processes set no event
                await asyncio.sleep(0.02)

    async def lives(self, number: int) -> bool | None:
        self.asked[number] += 1
        if number in self.deaf or number in self.restarted:
            return None
        return number not in self.silent and not (self.is_slow and self.asked[number] % _HASTY.silences)

    def logged(self) -> str:
        self.workers._log.flush()
        return self.log.getvalue().decode()

    def begun(self) -> int:
        """How many have got as far as to say so."""
        return Path(self.output.name).read_text(encoding="utf-8").count("\n")


@pytest.fixture
def output(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "output").open("w", encoding="utf-8") as file:
        yield file


async def test_the_worst_exit_status_is_all_of_theirs(output: IO[str]) -> None:
    kept = Kept(output, *(_SLEEPS.format(status=status) for status in (0, 3, 2)))
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 3)
    kept.stop.set()
    assert await running == 3
    assert kept.restarted == []


async def test_one_that_has_died_is_started_again_and_the_others_are_left_alone(output: IO[str]) -> None:
    kept = Kept(output, *[_SLEEPS.format(status=0)] * 2)
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 2)
    first, other = kept.workers.pid(1), kept.workers.pid(2)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await kept.until(lambda: kept.workers.pid(1) not in {None, first})
    assert kept.workers.pid(2) == other
    assert kept.restarted == [1]
    await kept.until(lambda: kept.begun() == 3)
    kept.stop.set()
    assert await running == 0


async def test_the_pause_before_the_next_start_grows(output: IO[str]) -> None:
    kept = Kept(output, "exit(7)")
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: len(kept.restarted) == 2)
    kept.stop.set()
    assert await running in {0, 7}, "of a start that was under way, or of the last one"
    lines = kept.logged().splitlines()
    pauses = [line.partition('"next_one_in_s":')[2].rstrip("}") for line in lines]
    assert pauses[:2] == ["0.5", "1.0"]
    assert all('"status":7' in line for line in lines)


async def test_a_command_that_cannot_be_run_ends_nothing_else(output: IO[str]) -> None:
    kept = Kept(output, _SLEEPS.format(status=0))
    missing = Command((f"{output.name}-missing",), os.environ)
    kept.workers._commands = [*kept.workers._commands, missing]
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 1 and 2 in kept.restarted)
    assert kept.workers.pid(1) is not None
    kept.stop.set()
    assert await running == 1


async def test_one_that_does_not_end_is_killed(output: IO[str]) -> None:
    kept = Kept(output, _STUBBORN, patience=Patience(0.1))
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 1)
    pid = kept.workers.pid(1)
    assert pid is not None
    kept.stop.set()
    assert await running == 128 + signal.SIGKILL
    assert not is_alive(pid)


async def test_one_that_does_not_answer_any_more_is_killed_and_started_again(output: IO[str]) -> None:
    kept = Kept(output, *[_SLEEPS.format(status=0)] * 2, patience=_HASTY)
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 2 and min(kept.asked[1], kept.asked[2]) > 1)
    first, other = kept.workers.pid(1), kept.workers.pid(2)
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    kept.silent.add(1)
    await kept.until(lambda: kept.workers.pid(1) not in {None, first})
    assert not is_alive(first)
    assert kept.workers.pid(2) == other
    assert kept.restarted == [1]
    assert "it does not answer any more" in kept.logged()
    asked = kept.asked[1]
    await kept.until(lambda: kept.asked[1] > asked + 3 * _HASTY.silences)
    assert kept.restarted == [1], "one that does not listen yet is left alone"
    await kept.until(lambda: kept.begun() == 3)
    kept.stop.set()
    assert await running == 0


async def test_one_that_answers_again_in_time_is_left_alone(output: IO[str]) -> None:
    kept = Kept(output, _SLEEPS.format(status=0), patience=_HASTY)
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: kept.begun() == 1 and kept.asked[1] > 1)
    kept.is_slow = True
    asked = kept.asked[1]
    await kept.until(lambda: kept.asked[1] > asked + 5 * _HASTY.silences)
    assert kept.restarted == []
    kept.stop.set()
    assert await running == 0


async def test_where_none_can_be_started_all_end(output: IO[str]) -> None:
    kept = Kept(output, "exit(7)", _SLEEPS.format(status=0), patience=_HASTY)
    kept.deaf = {1, 2}
    with pytest.raises(
        WorkersError, match=r"no worker can be started: worker 1 has ended 5 times .* status 7"
    ):
        await kept.workers.run(kept.stop)
    assert kept.stop.is_set(), "which others go by"
    assert kept.restarted == [1] * 4
    assert kept.workers.pid(2) is None


async def test_where_another_answers_it_is_tried_for_ever(output: IO[str]) -> None:
    kept = Kept(output, "exit(7)", _SLEEPS.format(status=0), patience=_HASTY)
    kept.deaf = {1}
    running = asyncio.create_task(kept.workers.run(kept.stop))
    await kept.until(lambda: len(kept.restarted) > _HASTY.starts)
    assert kept.workers.pid(2) is not None
    kept.stop.set()
    assert await running in {0, 7}, "of a start that was under way, or of the last one"
