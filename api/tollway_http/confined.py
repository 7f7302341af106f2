"""Looks up hosts for aiohttp's clients, in both planes, and finds nobody who may not be asked."""

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tollway_api.reach import Reach


class ConfinedResolver(AbstractResolver):
    """Finds only addresses that may be asked, which are then connected to, whatever the name means by then."""

    def __init__(self, reach: Reach, forbidden: Callable[[], Exception]) -> None:
        """`forbidden` makes what is raised where a host has no such address."""
        self._reach = reach
        self._forbidden = forbidden
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if self._reach.allows(each["host"], host)]
        if not allowed:
            raise self._forbidden()
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
