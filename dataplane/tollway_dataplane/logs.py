"""JSON logs, one object a line on standard output. Built once at start and passed to whoever logs."""

import logging
import sys
from typing import TextIO, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger


def json_log(stream: TextIO | None = None, level: int = logging.INFO) -> FilteringBoundLogger:
    """A logger of its own: nothing global is configured."""
    output = (stream or sys.stdout).buffer
    logger = structlog.wrap_logger(
        structlog.BytesLogger(output),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return cast("FilteringBoundLogger", logger)
