"""Whether requests are traced: where OpenTelemetry's own variables name a collector. Its SDK takes a tenth of a second
and five megabytes to import, which a process without traces does not pay.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tollway_dataplane.logs import JsonLog
from tollway_dataplane.spans import UNTRACED, Tracer

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# Hears of so many spans what has become of them: `sent`, `failed` or `dropped`. Called from any thread.
OnSpans = Callable[[str, int], None]


def is_wanted(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporters = environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    return any(map(environ.get, ENDPOINTS)) and not disabled and exporters != "none"


@asynccontextmanager
async def open_tracer(
    environ: Mapping[str, str], service: str, log: JsonLog, on_spans: OnSpans
) -> AsyncIterator[Tracer]:
    """`service` is the name by which others see this process, unless the variables say another. The SDK reads them in
    the process's own environment.
    """
    if not is_wanted(environ):
        yield UNTRACED
        return
    sdk = await asyncio.to_thread(importlib.import_module, "tollway_dataplane.adapters.otel_tracer")
    async with sdk.exporting(service, log, on_spans) as tracer:
        log.info("tracing", endpoint=next(filter(None, map(environ.get, ENDPOINTS))))
        yield tracer
