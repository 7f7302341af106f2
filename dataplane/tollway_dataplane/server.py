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
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tollway_dataplane.edge.connections import Connection, EncryptedConnection
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.settings import Address, Settings
from tollway_tls.certificates import server_context

_BACKLOG: Final = 2_048
_KEEP_ALIVE_S: Final = 75
# For so long a thread that wants the interpreter leaves it to the one that has it. With Python's own 5 ms the encoder
# waited for the event loop for a tenth of its time under load, with these for a thirtieth.
_TURN_S: Final = 0.0002


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


def listen(address: Address, *, is_shared: bool = False) -> socket.socket:
    """A listening socket; port 0 takes a free one. Where it `is_shared` other processes of this user listen there as
    well, and the kernel spreads connections over them (SO_REUSEPORT). Raises ListenError.
    """
    listener = _bound(address, is_shared=is_shared)
    try:
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise _cannot_listen(address, exc) from exc
    return listener


def reserve(address: Address) -> socket.socket:
    """Keeps an address for processes that will share it, and does not listen; port 0 takes a free one. Raises
    ListenError.
    """
    # Whoever shares it already, such as another installation, would let us in: so first it must be had alone. That
    # fails where one is kept without SO_REUSEADDR, whether anybody listens there or not.
    with listen(address) as alone:
        host, port = alone.getsockname()[:2]
    try:
        return _bound(Address(host, port), is_shared=True, is_kept=True)
    except ListenError:
        # For a minute there are connections of one who shared it with nobody, and has ended (TIME_WAIT).
        return _bound(Address(host, port), is_shared=True)


def listen_at(path: Path) -> socket.socket:
    """The same at a Unix socket, in place of one that a process before has left there. Raises ListenError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise _cannot_listen(path, exc) from exc
    listener.setblocking(False)
    return listener


def _cannot_listen(where: object, exc: OSError) -> ListenError:
    return ListenError(f"cannot listen on {where}: {exc.strerror or exc}")


def _bound(address: Address, *, is_shared: bool, is_kept: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(not is_kept))
    # Inherited by what it accepts: a reply's body must not wait for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as exc:
        listener.close()
        raise _cannot_listen(address, exc) from exc
    listener.setblocking(False)
    return listener


def admin_tls(settings: Settings, log: JsonLog) -> ssl.SSLContext | None:
    """With which the admin port is to be served. Raises SettingsError."""

    def unreadable(why: str) -> None:
        log.warning("certificates cannot be read", reason=why)

    return server_context(settings.admin_tls_dir, unreadable)


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
    sys.setswitchinterval(_TURN_S)
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
    """SIGTERM and Ctrl-C set `stop`; a second one, of either, ends the process at once, as people expect."""
    loop = asyncio.get_running_loop()

    numbers = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, on_signal)


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
