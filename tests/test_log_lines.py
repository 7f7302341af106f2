"""Operator and data plane log alike, so that one query finds the lines of both."""

import io
import json
import logging
import math
import re
import sys
from typing import Any

import orjson
import pytest

from tollway_dataplane.logs import JsonLog
from tollway_operator.logs import JsonFormatter

Line = dict[str, Any]
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def by_the_operator(level: int, event: str, logger: str = "tollway_operator.app", **extra: object) -> Line:
    record = logging.getLogger(logger).makeRecord(
        logger, level, __file__, 1, event, (), sys.exc_info() if level == logging.ERROR else None, extra=extra
    )
    (line,) = JsonFormatter().format(record).splitlines()
    found: Line = json.loads(line)
    return found


def by_the_data_plane(level: int, event: str, **fields: object) -> Line:
    file = io.BytesIO()
    log = JsonLog(file)
    {logging.INFO: log.info, logging.WARNING: log.warning, logging.ERROR: log.exception}[level](
        event, **fields
    )
    log.flush()
    (line,) = file.getvalue().splitlines()
    found: Line = json.loads(line)
    return found


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR], ids=logging.getLevelName)
def test_both_planes_write_the_same_keys_the_same_levels_and_the_same_clock(level: int) -> None:
    """In the same order, since people read them too."""
    lines = []
    for write in (by_the_operator, by_the_data_plane):
        try:
            int("many")
        except ValueError:
            lines.append(write(level, "cannot\nbe written", reason="ä", object=3.5))
    one, other = lines
    assert list(one) == list(other)
    assert all(TIMESTAMP.fullmatch(each.pop("timestamp")) for each in lines)
    assert one == other
    assert one["level"] == {20: "info", 30: "warning", 40: "error"}[level]
    assert one.get("exception", "").endswith("'many'") == (level == logging.ERROR)


def test_what_a_library_logs_has_the_same_shape_and_says_whose_it_is() -> None:
    """kopf names the object in a way of its own."""
    about = {"kind": "RoutingPolicy", "namespace": "team-a", "name": "chat", "uid": "u-1"}
    line = by_the_operator(logging.DEBUG, "handled", "kopf.objects", k8s_ref=about, k8s_skip=True)
    assert TIMESTAMP.fullmatch(line.pop("timestamp"))
    assert line == {
        "level": "info",
        "event": "handled",
        "logger": "kopf.objects",
        "object": "RoutingPolicy team-a/chat",
    }


def test_what_is_no_json_is_written_as_text() -> None:
    """A line is never lost for what is in it."""
    assert by_the_operator(logging.INFO, "x", bounds={1.5}, path=Exception("why"))["path"] == "why"


def test_numbers_and_characters_that_json_has_not_leave_a_line_that_everybody_can_read() -> None:
    fields = {
        "share": math.nan,
        "most": [math.inf, {"least": -math.inf}],
        "reason": "half of \ud83d and \udfff",
    }
    record = logging.makeLogRecord({"name": "kopf", "levelno": logging.INFO, "msg": "\ud800", **fields})
    line = orjson.loads(JsonFormatter().format(record).encode())
    assert [line[name] for name in ("event", *fields)] == [
        "?",
        None,
        [None, {"least": None}],
        "half of ? and ?",
    ]
