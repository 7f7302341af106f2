"""Servers that live as long as a file's tests, one for each provider, and who asks them."""

from collections.abc import AsyncIterator

import pytest

from tests.dataplane.providers.wire import Server
from tollway_api.reach import OWN
from tollway_api.snapshot import Protocol
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream
from tollway_dataplane.adapters.openai_upstream import open_upstream
from tollway_dataplane.ports import Upstream


@pytest.fixture
async def upstream(server: Server) -> AsyncIterator[Upstream]:
    if server.wire.model.protocol is Protocol.OPENAI:
        async with open_upstream(reach=OWN) as direct:
            yield direct
        return
    through = LiteLLMUpstream(OWN)
    await through.load()
    yield through
