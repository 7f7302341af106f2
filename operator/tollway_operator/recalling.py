"""Of Secrets that cannot be read, what stands may say what was in them; and while that is not all that can be known of
them, nothing may take its place. Called by the loop.
"""

from contextlib import suppress

from tollway_api.inventory import SecretKey
from tollway_operator.admin_token import AdminToken
from tollway_operator.errors import Forbidden, PublishFault
from tollway_operator.publish import Publisher
from tollway_operator.references import values_in
from tollway_operator.secrets import Secrets


class Recalling:
    """`published` is the digest of what this process has published last, which it has known."""

    def __init__(self, secrets: Secrets, publisher: Publisher, admin_token: AdminToken) -> None:
        self._secrets = secrets
        self._publisher = publisher
        self._admin_token = admin_token
        # What was recalled from last, by its digest, and those of which it said nothing.
        self._recalled: str | None = None
        self._not_recalled: frozenset[SecretKey] = frozenset()
        self.published: str | None = None

    async def recall(self) -> bool:
        """At first from what an operator before this one has published, and at any time from what another has published
        meanwhile, or what somebody has put back. Whether it said anything new. Raises KubeFault.
        """
        before = self._secrets.unknown
        if not before:
            return False
        with suppress(PublishFault, Forbidden):  # which are met again when it comes to publishing
            if before <= self._not_recalled and await self._publisher.standing_digest() in self._known:
                return False
            if (standing := await self._publisher.published()) is not None:
                self._secrets.recall(values_in(standing.snapshot))
                self._recalled, self._not_recalled = standing.digest, self._secrets.unknown
        return self._secrets.unknown != before

    async def replaceable(self) -> set[str | None]:
        """Digests of what alone may be replaced while Secrets cannot be read: something may stand that is not known
        here, and what pods run must not lose it. What this process has published it has known; and nothing has ever
        stood where not even the token was made by which pods are told. Raises KubeFault.
        """
        if self.published is not None or not await self._admin_token.exists():
            return {*self._known, None}
        return {*self._known}

    @property
    def _known(self) -> set[str]:
        """The digests of snapshots that hold no Secret which this process could not name."""
        return {each for each in (self._recalled, self.published) if each}
