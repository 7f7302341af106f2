"""Sockets that several processes share, on the loopback; and signals."""

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from tollway_dataplane.server import ListenError, listen, reserve, serve
from tollway_dataplane.settings import Address


def test_what_is_kept_is_had_by_those_who_share_it_and_by_nobody_else() -> None:
    with reserve(Address("127.0.0.1", 0)) as kept:
        address = Address(*kept.getsockname())
        with pytest.raises(ListenError):
            reserve(address)
        with pytest.raises(ListenError):
            listen(address)
        with listen(address, is_shared=True), listen(address, is_shared=True):
            with pytest.raises(ListenError):
                reserve(address)
            socket.create_connection((address.host, address.port)).close()


@pytest.mark.parametrize("is_shared", [False, True], ids=["of one process", "of several"])
def test_it_can_be_kept_although_connections_of_before_are_not_forgotten_yet(*, is_shared: bool) -> None:
    with listen(Address("127.0.0.1", 0), is_shared=is_shared) as listener:
        address = Address(*listener.getsockname())
        listener.setblocking(True)
        with socket.create_connection((address.host, address.port)) as caller:
            served, _ = listener.accept()
            served.close()  # who closes first has the connection in TIME_WAIT
            assert caller.recv(1) == b""
    with reserve(address), listen(address, is_shared=True):
        pass


_STUBBORN = """
import asyncio
from tollway_dataplane.server import stop_on_signals

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    print("begun", flush=True)
    await stop.wait()
    print("told", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_second_signal_ends_the_process_at_once_whichever_it_is(
    first: signal.Signals, second: signal.Signals
) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(first)
        assert process.stdout.readline() == "told\n"
        process.send_signal(second)
        try:
            assert process.wait(30) == -second
        finally:
            process.kill()


async def test_a_thread_that_wants_the_interpreter_does_not_wait_for_milliseconds() -> None:
    """Who serves has threads take shorter turns than Python has them take, as the encoder waits between two batches."""
    before, stop = sys.getswitchinterval(), asyncio.Event()
    stop.set()
    try:
        await serve([], stop, 0.0, asyncio.Event())
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)
