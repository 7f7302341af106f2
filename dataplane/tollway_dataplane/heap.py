"""What the garbage collector is to leave alone: what a start and a large import make stays as long as the process, and
walking it stalls the event loop at every full collection.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def growing() -> Iterator[None]:
    """While much is made that stays. What callers under way leave in cycles meanwhile stays with it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def settle_heap() -> None:
    """Takes what start-up made out of the garbage collector's sight: walking it stalls the event loop for tens of
    milliseconds at every full collection, and none of it ever becomes garbage.
    """
    gc.collect()
    gc.freeze()
    # Requests leave few cycles behind, so looking for them at every 700th allocation is mostly in vain. But what was
    # made since the last look is walked in one go, and of 50,000 objects that took too long for others to wait.
    gc.set_threshold(10_000, 20, 250)
