"""Who calls, by a request's headers: the digest of its API key, which itself goes no further than here. What a digest
means is decided by `core.matching`.
"""

import time

from tollway_api.wire import key_digest
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.live import Live
from tollway_dataplane.record import Record

_MOST_KEY_CHARACTERS = 512


def key_digest_of(request: Incoming) -> str | None:
    """The bearer key's digest, or None when there is no key.

    Raises Refusal 401 when the header is not a bearer key.
    """
    value = request.headers.get("authorization")
    if value is None:
        return None
    scheme, _, key = value.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or len(key) > _MOST_KEY_CHARACTERS:
        message = 'the Authorization header must read "Bearer <your key>"'
        raise Refusal(401, RefusalCode.INVALID_API_KEY, message)
    return key_digest(key)


def admit_tenant(live: Live, caller: str | None, record: Record) -> None:
    """Notes whose key it is. Raises Refusal."""
    tenant, record.key = live.current().authenticate(caller, time.time())
    record.tenant = tenant.name
