"""The token by which pods know the operator, in a Secret of the installation's namespace. Made when there is none that
can be sent, since manifests hold no random values. To rotate it, write a second key, wait until pods have it, and
remove the first.
"""

import secrets
from typing import Final

from tollway_api import wire
from tollway_api.messages import admin_token
from tollway_operator.adoption import Adoption
from tollway_operator.errors import Conflict, NotFound
from tollway_operator.kube import Kube, StoredSecret
from tollway_operator.lease import Leadership

SECRET_NAME: Final = wire.ADMIN_TOKEN_SECRET
_LABELS: Final = {"app.kubernetes.io/part-of": "tollway", "app.kubernetes.io/managed-by": "tollway-operator"}


class AdminToken:
    def __init__(self, kube: Kube, leadership: Leadership, namespace: str) -> None:
        self._kube = kube
        self._leadership = leadership
        self._namespace = namespace
        self._adoption = Adoption(kube, namespace)

    async def exists(self) -> bool:
        """Whether pods have been told of a snapshot before. Raises KubeFault."""
        return await self._find() is not None

    async def ensure(self) -> list[str]:
        """All that are valid, which are two while they are rotated. Raises KubeFault and LeadershipLost."""
        found = await self._find()
        values = [value for _, value in sorted(found.data.items())] if found else []
        if usable := [token for token in map(admin_token, values) if token]:
            # What somebody else has made is theirs.
            if found is not None and found.owner is None and found.labels.items() >= _LABELS.items():
                self._leadership.fence()
                await self._adoption.adopt(SECRET_NAME, found)
            return usable
        token = secrets.token_urlsafe(32)
        version = found.resource_version if found else None
        self._leadership.fence()
        try:
            await self._kube.write_secret(
                self._namespace, SECRET_NAME, {"token": token.encode()}, _LABELS, version
            )
        except Conflict:
            return await self.ensure()
        return [token]

    async def _find(self) -> StoredSecret | None:
        try:
            return await self._kube.secret(self._namespace, SECRET_NAME)
        except NotFound:
            return None
