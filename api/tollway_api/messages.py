"""What the operator and a data plane say to each other over the admin port: the operator names a snapshot, the pod says
which one it runs.

    POST /snapshot   Notify  →  200 PodState: it runs   |  409 PodState with `rejected`: it does not, and why

And what people say to any one data plane, for all of them:

    POST /purge      Purge   →  200 Purged              |  404, 409, 503: nothing was, and why
    POST /feedback   Feedback →  200 {"outcome"}         |  404, 503: nothing was noted, and why

All want `Authorization: Bearer <admin token>`, and where the port has TLS a client certificate (`tollway_tls`).
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, TypeAdapter

from tollway_api.routing_policy import ModelState

PATH: Final = "/snapshot"
PURGE_PATH: Final = "/purge"
FEEDBACK_PATH: Final = "/feedback"
_Name = Annotated[str, Field(min_length=1)]
_SENDABLE: Final = re.compile(rb"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class Notify:
    revision: str
    digest: str


@dataclass(frozen=True, slots=True)
class Lookups:
    """Cache lookups of one index since the pod started, bypasses aside. What cannot have been counted is refused with a
    ValueError, also where a pod says it, since it would go into a status.
    """

    hits: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total < 2**63:
            raise ValueError("hits are at least 0 and at most the total, which has 63 bits")


@dataclass(frozen=True, slots=True)
class PodState:
    revision: str | None  # None before the first snapshot
    digest: str | None
    rejected: str = ""  # why it does not run what it was told last; never repeats a secret
    lookups: dict[str, Lookups] = field(default_factory=dict)  # by index id
    purged: int = 0  # what was remembered before, and has been purged by this epoch, it has forgotten
    unfit: dict[str, str] = field(
        default_factory=dict
    )  # why vectors for its look-ups do not fit, by index id
    # Of models that are not asked with every request, by policy id and their name.
    models: dict[str, dict[str, ModelState]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to be forgotten: of an index, of a tenant in all its indexes, or of a tenant in one."""

    # A name that is misspelt, or that a script has left empty, must not make it a purge of more.
    __pydantic_config__ = ConfigDict(extra="forbid")

    index: _Name = ""  # namespace/name
    tenant: _Name = ""


@dataclass(frozen=True, slots=True)
class Purged:
    """The data plane that says so has forgotten it; others do at once, and after `within_s` seconds at the latest."""

    epoch: int  # milliseconds since 1970 by the clock of the cache Redis
    indexes: list[str]
    shared: list[str]  # in which the tenant's answers are everybody's: those indexes were left as they are
    within_s: float


class Word(StrEnum):
    WRONG = "wrong"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says of a reply by meaning, of any tenant."""

    request_id: Annotated[str, Field(min_length=1, max_length=128)]  # as in the reply's x-tollway-request-id
    feedback: Word


NOTIFY: Final = TypeAdapter(Notify)
POD_STATE: Final = TypeAdapter(PodState)
PURGE: Final = TypeAdapter(Purge)
PURGED: Final = TypeAdapter(Purged)
FEEDBACK: Final = TypeAdapter(Feedback)


def headers(admin_token: str) -> dict[str, str]:
    """Of whatever is said to an admin port in JSON."""
    return {"authorization": f"Bearer {admin_token}", "content-type": "application/json"}


def admin_token(value: bytes) -> str | None:
    """The admin token that is kept as this value; None for what no header can carry."""
    token = value.strip()
    return token.decode() if _SENDABLE.fullmatch(token) else None
