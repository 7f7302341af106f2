"""kopf alone, watching our kinds and doing nothing: what an operator weighs before it does anything. Run as a process
by `bench.convergence`.
"""

import asyncio

import kopf

from tollway_api.crds import DEFINITIONS
from tollway_api.meta import GROUP, VERSION


def _ignore(**_: object) -> None:
    return


def main() -> None:
    registry = kopf.OperatorRegistry()
    for definition in DEFINITIONS:
        kopf.on.event(GROUP, VERSION, definition.plural, registry=registry)(_ignore)
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    asyncio.run(kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True))


if __name__ == "__main__":
    main()
