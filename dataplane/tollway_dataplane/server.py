"""Serves ASGI applications on their addresses, in one process and one event loop, until told to stop; then lets
requests under way finish.
"""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tollway_dataplane.connections import Connection, EncryptedConnection
from tollway_dataplane.settings import Address

_BACKLOG: Final = 2_048
_KEEP_ALIVE_S: Final = 75


class ListenError(Exception):
    """An address cannot be listened on; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Site:
    app: ASGIApp
    socket: socket.socket
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address(host, port)


def listen(address: Address) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ListenError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by what it accepts: a reply's body must not wait for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise ListenError(f"cannot listen on {address}: {exc.strerror}") from exc
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(sites: Sequence[Site], stop: asyncio.Event, drain_s: float, draining: asyncio.Event) -> None:
    """Serves until `stop`, sets `draining`, and goes on for at most `drain_s` for requests and streams under way.
    The first site is closed before the others, so that probes and metrics answer during the drain.
    """
    _allow_descriptors()
    servers = [_Server(_config(site, drain_s)) for site in sites]
    tasks = [
        asyncio.create_task(server.serve(sockets=[site.socket]))
        for server, site in zip(servers, sites, strict=True)
    ]
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        draining.set()
        for server, task in zip(servers, tasks, strict=True):
            server.should_exit = True
            await task


def _allow_descriptors() -> None:
    """As many as the system lets us have: every caller takes one, and most shells hand on a limit of 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C set `stop`; a second one ends the process at once, as people expect."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _config(site: Site, drain_s: float) -> uvicorn.Config:
    tls = site.tls
    return uvicorn.Config(
        site.app,
        http=EncryptedConnection if tls else Connection,
        ssl_context_factory=(lambda *_: tls) if tls else None,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=logging.CRITICAL,  # what goes wrong is logged where it is known whose request it was
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(drain_s),
    )
