"""Callers who do not wait for each other: requests become due at a rate that does not go by how fast they are answered,
as from many people. What an answer takes is counted from when its request was due, so that a server that stalls is
charged for all who came meanwhile (coordinated omission: G. Tene, "How NOT to Measure Latency", 2013). wrk, whose
callers wait, does not show that.

One thread and `select`, whose timeout is precise to microseconds; an event loop's timers are to milliseconds.
"""

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import urlsplit

MOST_CONNECTIONS: Final = 500  # of what `select` can watch
PATIENCE_S: Final = 30.0  # after the last was due
_READ: Final = 1 << 16


@dataclass(frozen=True)
class Offered:
    """Latencies are of successes alone. `late_ms` is how much after it was due a request was sent: our own share of the
    latencies, unless all connections were taken.
    """

    latencies_ms: list[float]
    late_ms: list[float]
    failures: Mapping[str, int]  # by HTTP status, or by what happened to the connection


@dataclass
class _Asked:
    due: float
    received: bytes = b""


def dues(rate: float, seconds: float, seed: int) -> list[float]:
    """When requests are due, from 0: a Poisson process, whose requests come in clusters as those of people do."""
    draw, at, found = Random(seed), 0.0, list[float]()  # noqa: S311 - no secret
    while (at := at + draw.expovariate(rate)) < seconds:
        found.append(at)
    return found


def request(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    sent = {
        "host": parts.netloc,
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_whole(message: bytes) -> bool:
    """Whether a request or a reply is there to its end."""
    head, ended, rest = message.partition(b"\r\n\r\n")
    if not ended:
        return False
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return rest.endswith(b"0\r\n\r\n")
    return len(rest) >= int(fields.get(b"content-length", b"0"))


class OpenLoop:
    """Sends requests as they become due to one server, on as many connections as are needed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = (parts.hostname, parts.port)
        self._idle: list[socket.socket] = []
        self._asked: dict[socket.socket, _Asked] = {}
        self._latencies_ms: list[float] = []
        self._late_ms: list[float] = []
        self._failures: Counter[str] = Counter()

    def offer(self, due: list[float], requests: Iterator[bytes]) -> Offered:
        began = time.perf_counter()
        waiting = deque(began + each for each in due)
        until = began + (due[-1] if due else 0.0) + PATIENCE_S
        while (waiting or self._asked) and time.perf_counter() < until:
            while waiting and waiting[0] <= time.perf_counter() and len(self._asked) < MOST_CONNECTIONS:
                self._send(waiting.popleft(), next(requests))
            pause = until if not waiting or len(self._asked) >= MOST_CONNECTIONS else waiting[0]
            left = max(0.0, pause - time.perf_counter())
            for connection in select.select(list(self._asked), [], [], left)[0]:
                self._receive(connection)
        if unanswered := len(waiting) + len(self._asked):
            self._failures["unanswered"] += unanswered
        for connection in [*self._idle, *self._asked]:
            connection.close()
        return Offered(self._latencies_ms, self._late_ms, self._failures)

    def _send(self, due: float, sent: bytes) -> None:
        connection = self._connection()
        connection.sendall(sent)
        self._asked[connection] = _Asked(due)
        self._late_ms.append((time.perf_counter() - due) * 1_000)

    def _connection(self) -> socket.socket:
        """The one that was used last, unless the server has closed it meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _receive(self, connection: socket.socket) -> None:
        asked = self._asked[connection]
        received = _read(connection)
        asked.received += received
        whole = is_whole(asked.received)
        if received and not whole:
            return
        del self._asked[connection]
        if not whole:
            self._failures["closed"] += 1
            connection.close()
            return
        self._idle.append(connection)
        if (status := asked.received[9:12]) == b"200":
            self._latencies_ms.append((time.perf_counter() - asked.due) * 1_000)
        else:
            self._failures[status.decode()] += 1


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_READ)
    except ConnectionError:
        return b""
