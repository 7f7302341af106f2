"""The operator, but for a fault at the place that FAULT_POINT names: it is killed there, as by the kernel, or hangs, or
its clock jumps, or its Lease is slow to write. Run as a process by the tests of what is left behind.

    before:STEP, after:STEP, hang:STEP    a step of the loop
    DOOR.CALL                             after a call of the operator's doors to the world has been answered
    clock:SECONDS                         once it has published, wall clocks are off by so much
    travel:BYTES                          so many are the most that a snapshot may take
    parts                                 a snapshot travels in as many parts as there may be, however small it is
    lease:SECONDS                         so long the API server takes for a write of the Lease
    secrets:PATH                          no Secret can be read while there is such a file

Where it is killed, `*COUNT` says at which time: `kube.write_secret*2`.
"""

import asyncio
import datetime as dt
import itertools
import math
import os
import signal
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

from tollway_api import parts
from tollway_operator import (
    __main__,
    deletion,
    errors,
    kube,
    lease,
    notify,
    publish,
    reconcile,
    redis_store,
    status_writer,
)
from tollway_operator.compiled import Compiled

_POINT, _, _TIMES = os.environ["FAULT_POINT"].partition("*")
_TIME = itertools.count(1)


def _die(*_: object) -> None:
    if next(_TIME) >= int(_TIMES or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def _arm_step(when: str, wanted: str) -> None:
    original: Callable[[reconcile.Reconciler], reconcile.Steps] = vars(reconcile.Reconciler)["steps"].fget

    def around(step: Callable[[object], Awaitable[None]]) -> Callable[[object], Awaitable[None]]:
        async def stepping(compiled: Compiled) -> None:
            # Not while there is nothing to do yet.
            armed = bool(compiled.snapshot.policies)
            if armed and when == "before":
                _die()
            if armed and when == "hang":
                await asyncio.Event().wait()
            await step(compiled)
            if armed:
                _die()

        return stepping  # type: ignore[return-value]  # it stands in for the step

    def armed_steps(self: reconcile.Reconciler) -> object:
        return tuple((name, around(step) if name == wanted else step) for name, step in original(self))  # type: ignore[arg-type]  # it stands in for the step

    reconcile.Reconciler.steps = property(armed_steps)  # type: ignore[assignment,method-assign]  # it stands in


def _arm_call(door: str, name: str) -> None:
    """Dies after the world has done what it was asked, and before its answer is looked at."""
    kind: type = _DOORS[door]
    call = getattr(kind, name)

    async def calling(*arguments: object, **named: object) -> object:
        result = await call(*arguments, **named)
        if name != "write_secret" or "tollway-snapshot" in arguments:
            _die()
        return result

    setattr(kind, name, calling)


def _arm_clock(seconds: float) -> None:
    jumped = False

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
            return super().now(tz) + dt.timedelta(seconds=seconds if jumped else 0)

    def off(clock: Callable[[], float], scale: int = 1) -> Callable[[], float]:
        return lambda: clock() + (int(seconds) * scale if jumped else 0)

    for module in (lease, status_writer, deletion):
        vars(module)["datetime"] = Clock
    vars(lease)["time"] = off(time.time)
    vars(publish)["time"] = SimpleNamespace(time_ns=off(time.time_ns, 1_000_000_000))
    original = publish.Publisher.publish

    async def publishing(self: publish.Publisher, *arguments: object) -> object:
        nonlocal jumped
        result = await original(self, *arguments)  # type: ignore[arg-type]  # whatever it is given
        jumped = True
        return result

    publish.Publisher.publish = publishing  # type: ignore[assignment,method-assign]  # it stands in


def _arm_travel(most: int) -> None:
    parts.MOST_PART_BYTES, parts.MOST_PARTS = most, 1  # type: ignore[misc]  # they stand in


def _arm_parts() -> None:
    original = parts.split

    def splitting(encoded: bytes, *arguments: object) -> tuple[parts.Head, list[bytes]]:
        parts.MOST_PART_BYTES = math.ceil(len(zlib.compress(encoded, 6)) / parts.MOST_PARTS)  # type: ignore[misc]  # it stands in
        return original(encoded, *arguments)  # type: ignore[arg-type]  # whatever it is given

    parts.split = splitting  # type: ignore[assignment]  # it stands in


def _arm_lease(seconds: float) -> None:
    original = kube.Kube.write_lease

    async def writing(self: kube.Kube, *arguments: str, **named: str) -> object:
        await asyncio.sleep(seconds)
        return await original(self, *arguments, **named)  # type: ignore[arg-type]  # it stands in

    kube.Kube.write_lease = writing  # type: ignore[assignment,method-assign]  # it stands in


def _arm_secrets(fail: Callable[[], bool]) -> None:
    original = kube.Kube.secret

    async def reading(self: kube.Kube, namespace: str, name: str) -> object:
        if fail():
            raise errors.KubeFault(f"could not read Secret {namespace}/{name}: it fails")
        return await original(self, namespace, name)

    kube.Kube.secret = reading  # type: ignore[assignment,method-assign]  # it stands in


_DOORS: dict[str, type] = {"kube": kube.Kube, "redis": redis_store.RedisStore, "pods": notify.Notifier}


def main() -> None:
    first, _, second = _POINT.replace(".", ":").partition(":")
    if first == "clock":
        _arm_clock(float(second))
    elif first == "travel":
        _arm_travel(int(second))
    elif first == "parts":
        _arm_parts()
    elif first == "secrets":
        _arm_secrets(Path(_POINT.removeprefix("secrets:")).exists)
    elif first == "lease":
        _arm_lease(float(second))
    elif first in _DOORS:
        _arm_call(first, second)
    else:
        _arm_step(first, second)
    __main__.main()


if __name__ == "__main__":
    main()
