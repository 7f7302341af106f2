"""The open loop charges a server for all who came while it stalled."""

import socket
import threading
from itertools import repeat

import pytest

from bench.open_loop import OpenLoop, dues, is_whole, request

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (REPLY[:-1], False),
        (REPLY, True),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", True),
        (CHUNKED, False),
        (CHUNKED + b"0\r\n\r\n", True),
    ],
)
def test_a_message_is_whole_when_its_body_has_ended(message: bytes, expected: bool) -> None:
    assert is_whole(message) is expected


def test_requests_come_at_the_rate_and_the_same_seed_draws_the_same() -> None:
    due = dues(200.0, 10.0, seed=1)
    assert due == dues(200.0, 10.0, seed=1) == sorted(due)
    assert 1_900 < len(due) < 2_100
    assert due[-1] < 10.0


def answering(replies: list[bytes]) -> int:
    """A server that answers so many callers, once all of them have asked. Its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server:
            connections = [server.accept()[0] for _ in replies]
            for connection in connections:
                asked = b""
                while not is_whole(asked):
                    asked += connection.recv(1 << 16)
            for connection, reply in zip(connections, replies, strict=True):
                connection.sendall(reply)
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def test_who_comes_while_the_server_stalls_is_counted_from_when_it_was_due() -> None:
    url = f"http://127.0.0.1:{answering([REPLY, REPLY, REPLY])}"
    due = [0.0, 0.1, 0.2]
    found = OpenLoop(url).offer(due, repeat(request(f"{url}/x", {}, b"{}")))
    assert found.failures == {}
    # None could be answered before the last had come, so the first has waited for as long as lies between them.
    for latency_ms, came in zip(sorted(found.latencies_ms, reverse=True), due, strict=True):
        assert latency_ms >= (due[-1] - came) * 1_000


def test_replies_that_break_off_or_are_no_success_are_failures() -> None:
    refused = REPLY.replace(b"200 OK", b"429 Too Many Requests")
    url = f"http://127.0.0.1:{answering([REPLY[:-1], refused, REPLY])}"
    found = OpenLoop(url).offer([0.0, 0.0, 0.0], repeat(request(f"{url}/x", {}, b"{}")))
    assert found.failures == {"closed": 1, "429": 1}
