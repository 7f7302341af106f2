"""The embed server: the encoder that data planes have inside, for others to ask as they would ask OpenAI. A process
of its own, told everything by its environment; `tollway embed-server` starts the same.
"""

import argparse
import asyncio
import os
import sys
from contextlib import aclosing
from functools import partial

import uvloop
from starlette.applications import Starlette
from starlette.types import ASGIApp

from tollway_api.environment import SettingsError, described, settings_from
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.edge.endpoint import Bounds, Edge, create_public_app
from tollway_dataplane.edge.models import models_routes
from tollway_dataplane.edge.own_embeddings import PATHS, admit_by, own_embeddings_route, served_models
from tollway_dataplane.edge.probes import READY, Readiness, probe_routes
from tollway_dataplane.embed_queue import EmbedQueue
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.heap import settle_heap
from tollway_dataplane.judgement.judge import ENCODER
from tollway_dataplane.logs import JsonLog, json_log
from tollway_dataplane.server import ListenError, Site, listen, serve, stop_on_signals
from tollway_dataplane.settings import EmbedServerSettings
from tollway_dataplane.spans import UNTRACED
from tollway_dataplane.telemetry.observe import Observer
from tollway_dataplane.telemetry.vector_metrics import VectorMetrics
from tollway_dataplane.telemetry.vector_metrics import described as described_request


async def run(settings: EmbedServerSettings) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes what is under way. Raises ListenError or EmbedderFault."""
    stop, draining = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    # First of all, so that an address that is taken is said at once.
    sockets = listen(settings.listen), listen(settings.admin_listen)
    async with json_log() as log, aclosing(await LocalEmbedder.load(settings.threads)) as encoder:
        apps = applications(encoder, settings, log, draining)
        sites = [Site(app, socket) for app, socket in zip(apps, sockets, strict=True)]
        settle_heap()
        log.info("serving", listen=str(sites[0].address), admin_listen=str(sites[1].address))
        await serve(sites, stop, settings.drain_s, draining)


def applications(
    encoder: LocalEmbedder, settings: EmbedServerSettings, log: JsonLog, draining: asyncio.Event
) -> tuple[ASGIApp, ASGIApp]:
    """For the public port and for the admin port."""
    metrics = VectorMetrics()
    encoder.observe_batch = metrics.observe_batch
    vectors = EmbedQueue(encoder, settings.most_waiting_texts, settings.deadline_s)
    metrics.follow(lambda: vectors.waiting)
    bounds = Bounds(settings.most_body_bytes, settings.body_deadline_s)
    observer = Observer(metrics, log, described_request, UNTRACED)
    edge = Edge(admit_by(settings.api_keys), bounds, observer, log)
    routes = [
        own_embeddings_route(edge, vectors, encoder.dimensions),
        *models_routes(edge, partial(served_models, edge)),
    ]

    def readiness() -> Readiness:
        return {"status": "draining" if draining.is_set() else READY}

    admin = Starlette(routes=probe_routes(readiness, metrics.registry))
    return create_public_app(edge, routes, PATHS), admin


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tollway-embed-server",
        description=f"Serves vectors of {ENCODER} at POST /v1/embeddings, in OpenAI's shape.\n"
        "Settings, from the environment:\n" + described(EmbedServerSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        uvloop.run(run(settings_from(os.environ, EmbedServerSettings)))
    except (SettingsError, ListenError, EmbedderFault) as error:
        sys.exit(f"tollway-embed-server: {error}")


if __name__ == "__main__":
    main()
