"""Servers that live as long as a file's tests, one for each provider, and who asks them."""

from collections.abc import AsyncIterator

import pytest

from tests.dataplane.providers.wire import Server
from tests.dataplane.providers.wires import speaking
from tollway_dataplane.ports import Upstream


@pytest.fixture
async def upstream(server: Server) -> AsyncIterator[Upstream]:
    async with speaking(server.wire.model.protocol) as upstream:
        yield upstream
