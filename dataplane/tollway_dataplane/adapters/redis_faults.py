"""What goes wrong with the cache's Redis, in our words: a deadline for every call, and the library's exceptions as a
CacheFault with a reason to count. Used by the adapters of that Redis.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import BusyLoadingError, OutOfMemoryError, ResponseError

from tollway_dataplane.adapters.redis_client import REDIS_ERRORS
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.deadline import Within
from tollway_dataplane.errors import CacheFault


@asynccontextmanager
async def cache_faults(attempted: str, deadline_s: float) -> AsyncIterator[None]:
    """The deadline, and the third party's exceptions as ours."""
    try:
        with Within(deadline_s):
            yield
    except TimeoutError as exc:
        raise CacheFault(CacheReason.CACHE_TIMEOUT, attempted) from exc
    except OutOfMemoryError as exc:
        raise CacheFault(CacheReason.CACHE_OUT_OF_MEMORY, attempted) from exc
    except BusyLoadingError as exc:
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, attempted) from exc
    except ResponseError as exc:
        raise CacheFault(_reason_of(str(exc)), attempted) from exc
    except REDIS_ERRORS as exc:
        raise CacheFault(CacheReason.CACHE_UNAVAILABLE, attempted) from exc


def _reason_of(message: str) -> CacheReason:
    """What Redis complains of. A transaction reports the first failed command's complaint."""
    if "WRONGTYPE" in message:
        return CacheReason.CACHE_KEY_COLLISION
    if "OOM" in message:
        return CacheReason.CACHE_OUT_OF_MEMORY
    if "vector" in message.lower() and ("size" in message.lower() or "blob" in message.lower()):
        return CacheReason.CACHE_WRONG_DIMENSION
    return CacheReason.CACHE_UNAVAILABLE
