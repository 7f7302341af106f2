"""A client that asks a Redis what look-ups of the cache ask, on connections that it keeps at hand: to take one from the
library's pool and give it back takes twice as long as such a command itself. Made by `connect`.
"""

from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

# Their replies are what the server says; of others the library makes something.
_DIRECT: Final = frozenset({"HMGET", "FT.SEARCH"})
# The rest of the pool is everybody's.
_SHARE: Final = 8


class DirectRedis(Redis):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: list[AbstractConnection] = []
        self._most_kept = self.connection_pool.max_connections // _SHARE

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        if words[0] not in _DIRECT or options:
            return await super().execute_command(*words, **options)  # type: ignore[no-untyped-call]  # the library does not type it
        pool = self.connection_pool
        connection = self._kept.pop() if self._kept else await pool.get_connection()  # type: ignore[no-untyped-call]  # as above
        try:
            # One that has ended meanwhile is made anew.
            await pool.ensure_connection(connection)
            await connection.send_command(*words)
            reply = await connection.read_response()
        except ResponseError:
            await self._give_back(connection)
            raise
        except BaseException:
            # There may be a reply that nobody has read, and the next command must not take it for its own.
            await connection.disconnect(nowait=True)
            await pool.release(connection)
            raise
        await self._give_back(connection)
        return reply

    async def _give_back(self, connection: AbstractConnection) -> None:
        if len(self._kept) < self._most_kept:
            self._kept.append(connection)
        else:
            await self.connection_pool.release(connection)
