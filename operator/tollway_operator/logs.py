"""JSON logs, one object a line on standard output, with the data plane's keys: `timestamp`, `level`, `event`, and
whatever else there is to say. What libraries log is written the same way, and says whose it is by `logger`.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

_OURS: Final = "tollway_operator"
# What every record has, kopf's own among them; the rest was given by who logs.
_OF_RECORDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "k8s_ref",
    "k8s_skip",
    "settings",
}
_written: Final = partial(json.dumps, default=str, ensure_ascii=False, separators=(",", ":"))
_CHATTY: Final = ("httpx2", "kopf.objects")  # a line for every request, and one for every event


def log_in_json() -> None:
    """For the process, whose root logger this sets."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """Fields are what JSON has, or are written as text."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "timestamp": at.replace("+00:00", "Z"),
            "level": _level(record.levelno),
            "event": record.getMessage(),
        }
        if not record.name.startswith(_OURS):
            line["logger"] = record.name
        if isinstance(about := getattr(record, "k8s_ref", None), dict):
            place = "/".join(filter(None, (about.get("namespace"), about.get("name"))))
            line["object"] = f"{about.get('kind')} {place}"
        line |= {key: value for key, value in vars(record).items() if key not in _OF_RECORDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _as_json(line)


def _as_json(line: Mapping[str, object]) -> str:
    """A number that JSON has not is null, as the data plane writes it; and half of a character, which nobody can read
    or write, is a question mark.
    """
    try:
        text = _written(line, allow_nan=False)
    except ValueError:
        text = _written(json.loads(_written(line), parse_constant=lambda _: None))
    return text.encode(errors="replace").decode()


def _level(number: int) -> str:
    """One of the three that there are."""
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"
