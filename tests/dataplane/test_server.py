"""Sockets that several processes share, on the loopback."""

import socket

import pytest

from tollway_dataplane.server import ListenError, listen, reserve
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


def test_it_can_be_kept_again_although_connections_of_before_are_not_forgotten_yet() -> None:
    with reserve(Address("127.0.0.1", 0)) as kept:
        address = Address(*kept.getsockname())
        with listen(address, is_shared=True) as listener:
            listener.setblocking(True)
            with socket.create_connection((address.host, address.port)) as caller:
                served, _ = listener.accept()
                served.close()  # who closes first has the connection in TIME_WAIT
                assert caller.recv(1) == b""
    reserve(address).close()
