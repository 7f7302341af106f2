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
# The same while much is made, as glibc begins: what is freed later, at the end of a heap that belongs to a thread, it
# never looks at again. Of what a table of tokens is made from 5 MB would stay.
_SMALL_BYTES: Final = 128 * 1024


@contextmanager
def growing() -> Iterator[None]:
    """While much is made that stays. What callers under way leave in cycles meanwhile stays with it."""
    was_enabled = gc.isenabled()
    gc.disable()
    _give_back(_SMALL_BYTES)
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
        _give_back(_LARGE_BYTES)


def settle_heap() -> None:
    """Takes what start-up made out of the garbage collector's sight: walking it stalls the event loop for tens of
    milliseconds at every full collection, and none of it ever becomes garbage.
    """
    gc.collect()
    gc.freeze()
    # Requests leave few cycles behind, so looking for them at every 700th allocation is mostly in vain. But what was
    # made since the last look is walked in one go: of 10,000 objects that took a busy machine 12 ms.
    gc.set_threshold(2_500, 4, 1_000)
    _give_back(_LARGE_BYTES)


def _give_back(beyond_bytes: int) -> None:
    """Now all that is free, and from now on what is beyond. Where the C library is glibc; others keep less."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim") and hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, beyond_bytes)
        library.mallopt(_TRIM_THRESHOLD, beyond_bytes)
        library.malloc_trim(0)
