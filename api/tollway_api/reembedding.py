"""How far a new index version is filled with what was remembered before: data planes note it in Redis, and whoever
publishes snapshots reads it there. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter, ValidationError

FIELD: Final = "progress"  # of the hash that `wire.reembedding_keys` names


class Obstacle(StrEnum):
    """Whose fault it is that an index version cannot be filled."""

    EMBEDDING = "Embedding"  # gives no vectors that fit
    REDIS = "Redis"  # does not answer, or not sensibly
    NO_ROOM = "NoRoom"  # in Redis


@dataclass(frozen=True, slots=True)
class Progress:
    source: str  # name of the version that it is filled from
    server: str = ""  # the run of Redis whose cursor it is; to another run it means nothing
    cursor: int = 0  # where the scan of the source goes on
    done: int = 0  # remembered prompts that have been looked at
    total: int = 0  # that there were when it began
    complete: bool = False  # all of them, and a sample was found again
    fault: str = ""  # what is in the way, in words for people; never a prompt or a key
    obstacle: Obstacle = Obstacle.EMBEDDING  # where there is a fault

    @property
    def percent(self) -> int:
        """100 is said of one that is complete, and of no other."""
        return 100 if self.complete else min(99, 100 * self.done // max(1, self.total))

    def encoded(self) -> bytes:
        return _ADAPTER.dump_json(self)

    @staticmethod
    def parse(data: bytes | None) -> "Progress | None":
        """None where nothing is noted, or somebody else has written there."""
        try:
            return _ADAPTER.validate_json(data or b"")
        except ValidationError:
            return None


_ADAPTER: Final = TypeAdapter(Progress)
