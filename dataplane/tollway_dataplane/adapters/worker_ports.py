"""The admin ports of the workers of one machine: Unix sockets in a folder that only their user can look into."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from tollway_dataplane.workers import WorkerAnswer

_DEADLINE_S: Final = 5.0
# Of one connection, or of how the body is sent along.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)


class WorkerPorts:
    """An async context manager; `sockets` are in the order of the workers' numbers, which begin with 1."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        self.numbers: Sequence[int] = range(1, len(sockets) + 1)
        self._sessions = [
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(path)),
                timeout=aiohttp.ClientTimeout(_DEADLINE_S),
                auto_decompress=False,
            )
            for path in sockets
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions:
            await session.close()

    async def ask(
        self, number: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> WorkerAnswer | None:
        """None where it does not answer in time, as one that is being started."""
        try:
            return await self._asked(number, method, path, headers, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def lives(self, number: int) -> bool | None:
        """None where nothing listens, as at one that is being started or waits for its first snapshot."""
        try:
            await self._asked(number, "GET", "/livez", {})
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return True

    async def _asked(
        self, number: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> WorkerAnswer:
        session = self._sessions[number - 1]
        async with session.request(
            method, f"http://worker{path}", headers=headers, data=body or None, allow_redirects=False
        ) as response:
            content = await response.read()
        kept = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
        return WorkerAnswer(response.status, kept, content)
