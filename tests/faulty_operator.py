"""The operator, but for a bullet: it is killed at the step that FAULT_POINT names, as by the kernel. Run as a process
by the tests of what is left behind.
"""

import os
import signal
from collections.abc import Awaitable, Callable

from tollway_operator import __main__, kube, reconcile

_POINT = os.environ["FAULT_POINT"]


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm_step(when: str, wanted: str) -> None:
    original: Callable[[reconcile.Reconciler], reconcile.Steps] = vars(reconcile.Reconciler)["steps"].fget

    def around(step: Callable[[object], Awaitable[None]]) -> Callable[[object], Awaitable[None]]:
        async def stepping(compiled: reconcile.Compiled) -> None:
            # Not while there is nothing to do yet.
            armed = bool(compiled.snapshot.policies)
            if armed and when == "before":
                _die()
            await step(compiled)
            if armed:
                _die()

        return stepping  # type: ignore[return-value]

    def armed_steps(self: reconcile.Reconciler) -> object:
        return tuple((name, around(step) if name == wanted else step) for name, step in original(self))  # type: ignore[arg-type]

    reconcile.Reconciler.steps = property(armed_steps)  # type: ignore[assignment,method-assign]


def _arm_call(name: str) -> None:
    """Dies after a write has reached the API server, and before its answer is looked at."""
    call = getattr(kube.Kube, name)

    async def calling(*arguments: object, **named: object) -> object:
        result = await call(*arguments, **named)
        if name != "write_secret" or "tollway-snapshot" in arguments:
            _die()
        return result

    setattr(kube.Kube, name, calling)


if __name__ == "__main__":
    if ":" in _POINT:
        _arm_step(*_POINT.split(":"))
    else:
        _arm_call(_POINT)
    __main__.main()
