"""What the garbage collector is to leave alone, and what the C library is to give back: what a start and a large import
make stays as long as the process, and walking it stalls the event loop at every full collection; what they needed on
the way is some 60 MB, which would stay as well.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Of glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
# What is as large goes back to the system as soon as it is freed, and of what is smaller no more is kept at the heap's
# end. By itself glibc raises both to what was freed before, so that the largest batch ever encoded would never be given
# back. Any lower, and the encoder's usual batches would be given their memory anew each time.
_LARGE_BYTES: Final = 16 * 1024 * 1024
# The same while much is made, as glibc begins: what is free at the end of a thread's own heap goes back as it is freed,
# and not when we ask for it. Of what a table of tokens is made from 5 MB would stay.
_SMALL_BYTES: Final = 128 * 1024


@contextmanager
def growing() -> Iterator[None]:
    """While much is made that stays. What callers under way leave in cycles meanwhile stays with it."""
    was_enabled = gc.isenabled()
    gc.disable()
    _keep(_SMALL_BYTES)
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
        _give_back()


def settle_heap() -> None:
    """Takes what start-up made out of the garbage collector's sight: walking it stalls the event loop for tens of
    milliseconds at every full collection, and none of it ever becomes garbage.
    """
    gc.collect()
    gc.freeze()
    # Requests leave no cycles behind, so looking for them at every 700th allocation is in vain; at every 2,500th it
    # took a twentieth of a live request, since 32 of them under way have more. But what was made since the last look
    # is walked in one go: of 5,000 objects that took a busy machine 7 ms. The second look takes in what is left of the
    # first, so it comes at every other one: at every fourth it took 18.
    gc.set_threshold(5_000, 1, 1_000)
    _give_back()


def _give_back() -> None:
    """All that is free."""
    _keep(_LARGE_BYTES)
    if library := _glibc():
        library.malloc_trim(0)


def _keep(most_bytes: int) -> None:
    """From now on so much of what is freed."""
    if library := _glibc():
        library.mallopt(_MMAP_THRESHOLD, most_bytes)
        library.mallopt(_TRIM_THRESHOLD, most_bytes)


def _glibc() -> ctypes.CDLL | None:
    """None where the C library is another; those keep less by themselves."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
