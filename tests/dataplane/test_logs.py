"""What several processes log to one place, as threads that have files of their own."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

import pytest

from tollway_dataplane.logs import MOST_WAITING, JsonLog

_TIMES = 40
_LONG = 30_000  # of which a pipe takes a part when its reader is slow


def _write(pipe: int, turns: Path, name: str) -> None:
    with os.fdopen(os.dup(pipe), "wb") as file, turns.open("ab") as own:
        log = JsonLog(file, own.fileno())
        for number in range(_TIMES):
            log.info(name, number=number, text=name * _LONG)
            log.flush()
        log.flush(waits=True)


def test_lines_of_several_do_not_mix_where_the_pipe_is_full(tmp_path: Path) -> None:
    """Each is whole, those of each process are in order, and none is missing."""
    reading, writing = os.pipe()
    with ThreadPoolExecutor() as pool, os.fdopen(reading, encoding="utf-8") as reader:
        writers = [pool.submit(_write, writing, tmp_path / "turns", name) for name in "abc"]
        lines = [json.loads(reader.readline()) for _ in range(3 * _TIMES)]
        for each in writers:
            each.result()
        os.close(writing)
        assert reader.read() == ""
    for name in "abc":
        assert [line["number"] for line in lines if line["event"] == name] == list(range(_TIMES))


def test_who_has_no_turn_keeps_its_lines(tmp_path: Path) -> None:
    turns, written = tmp_path / "turns", tmp_path / "log"
    with turns.open("ab") as other, turns.open("ab") as own, written.open("wb") as file:
        log = JsonLog(file, own.fileno())
        flock(other, LOCK_EX)
        log.info("one")
        log.flush()
        assert written.read_bytes() == b"", "it waits for nobody"
        flock(other, LOCK_UN)
        log.info("two")
        log.flush()
        events = [json.loads(line)["event"] for line in written.read_bytes().splitlines()]
        assert events == ["one", "two"]
        flock(other, LOCK_EX)  # it has been given back


@pytest.mark.parametrize("many", [1, MOST_WAITING], ids=["at the end", "too many to be kept"])
def test_then_it_waits_for_its_turn(tmp_path: Path, many: int) -> None:
    turns, written = tmp_path / "turns", tmp_path / "log"
    with (
        turns.open("ab") as other,
        turns.open("ab") as own,
        written.open("wb") as file,
        ThreadPoolExecutor(1) as pool,
    ):
        log = JsonLog(file, own.fileno())
        flock(other, LOCK_EX)
        for _ in range(many):
            log.info("said")
        flushed = pool.submit(log.flush, waits=many == 1)
        flock(other, LOCK_UN)
        flushed.result()
        assert written.read_bytes().count(b"\n") == many


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("half \ud83d of a character", "half ? of a character"),
        (2**70, 2**70),
        ({1: "one"}, {"1": "one"}),
    ],
)
def test_what_is_hard_to_write_fails_nobody_who_logs(tmp_path: Path, said: object, read: object) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = JsonLog(file)
        log.info("met", what=said)
        log.flush()
    line = json.loads((tmp_path / "log").read_bytes())
    assert (line["event"], line["what"]) == ("met", read)
    assert line["timestamp"].endswith("Z")
