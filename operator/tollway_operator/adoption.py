"""Gives an owner to Secrets of ours that stand without one: from an earlier release, from before there was a chart, or
written while the account could not be read. Whoever keeps such a Secret asks for it in each of its runs.
"""

from tollway_operator.errors import Forbidden, Invalid, KubeFault
from tollway_operator.kube import Kube, Owner, StoredSecret


class Adoption:
    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._refused: Owner | None = None  # so it is not tried again before there is another

    async def adopt(self, name: str, found: StoredSecret) -> bool:
        """Writes it once more as it is, where that gives it an owner; whether it has one now. Without one it is as
        good, until Tollway is uninstalled, so what goes wrong is nobody's fault, and the next run tries again.
        """
        if found.owner is not None:
            return True
        owner = None
        try:
            owner = await self._kube.owner(self._namespace)
            if owner is None or owner == self._refused:
                return False
            written = await self._kube.write_secret(
                self._namespace, name, found.data, found.labels, found.resource_version
            )
        except (Forbidden, Invalid):
            self._refused = owner
            return False
        except KubeFault:
            return False
        if written.owner is None:  # the cluster lets nobody change owners
            self._refused = owner
        return written.owner is not None
