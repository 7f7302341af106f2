"""What labels say of whatever is bounded, of the error rate of indexes and of the simple models' answers, read from the
cache's Redis for the statuses; the data planes count them, and serve by them.
"""

from collections.abc import Callable
from functools import partial

from tollway_api.error_control import Standing, standing
from tollway_api.snapshot import Snapshot
from tollway_api.wire import Sample, choices_of, hits_of
from tollway_operator.polling import Poller
from tollway_operator.redis_store import RedisStore

Standings = dict[Sample, Standing]  # by what is counted


def labels_poller(cache: RedisStore, every_s: float, on_change: Callable[[], None]) -> Poller[Standings]:
    complaint = "how good served answers are is not known"
    return Poller[Standings](partial(_read, cache), {}, complaint, every_s, on_change)


async def _read(cache: RedisStore, snapshot: Snapshot) -> Standings:
    """Raises StoreFault."""
    samples = filter(None, (*map(hits_of, snapshot.indexes.values()), *map(choices_of, snapshot.policies)))
    return {sample: standing(await cache.tallies(sample), sample.control.bound) for sample in samples}
