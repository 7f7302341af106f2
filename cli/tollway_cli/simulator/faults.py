"""Faults on demand: which there are, when one strikes, and their replies' status and words."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FaultKind(StrEnum):
    RATE_LIMIT = "rate-limit"  # 429 with Retry-After
    SERVER_ERROR = "server-error"  # 500
    UNAVAILABLE = "unavailable"  # 503
    CONTEXT_LENGTH = "context-length"  # 400 in the provider's own words
    BAD_REQUEST = "bad-request"  # 400 for something only the provider knows, in words that repeat a key
    BAD_KEY = "bad-key"  # 401 in words that repeat the key
    FORBIDDEN = "forbidden"  # 403
    NO_CREDIT = "no-credit"  # 402 in words that repeat a key and an account
    NO_MODEL = "no-model"  # 404
    REQUEST_TIMEOUT = "request-timeout"  # 408
    CONFLICT = "conflict"  # 409
    FILTERED = "filtered"  # 400, since the prompt is one that the provider does not answer
    WITHHELD = "withheld"  # an answer of which the provider holds back all but that it does
    BLANK = "blank"  # an answer that says nothing
    UNBEGUN = "unbegun"  # a stream breaks off before it says anything
    RESET = "reset"  # the connection is reset without a reply
    STALL = "stall"  # the reply begins and then nothing comes
    CUT = "cut"  # a stream breaks off in the middle
    SHORT = "short"  # a stream ends in the middle, as if that were all
    EMPTY = "empty"  # a stream ends before its first event
    HOLLOW = "hollow"  # 200, with an error inside
    SILENT = "silent"  # an answer without its usage
    DEAR = "dear"  # a whole answer is said to have ten times its tokens, and billed so


STATUS: Final = {
    FaultKind.RATE_LIMIT: 429,
    FaultKind.SERVER_ERROR: 500,
    FaultKind.UNAVAILABLE: 503,
    FaultKind.CONTEXT_LENGTH: 400,
    FaultKind.BAD_REQUEST: 400,
    FaultKind.BAD_KEY: 401,
    FaultKind.FORBIDDEN: 403,
    FaultKind.NO_CREDIT: 402,
    FaultKind.NO_MODEL: 404,
    FaultKind.HOLLOW: 200,
    FaultKind.REQUEST_TIMEOUT: 408,
    FaultKind.CONFLICT: 409,
    FaultKind.FILTERED: 400,
}
MESSAGE: Final = {
    FaultKind.RATE_LIMIT: "Rate limit reached for requests. Please try again in 1s.",
    FaultKind.SERVER_ERROR: "The server had an error while processing your request.",
    FaultKind.UNAVAILABLE: "The engine is currently overloaded, please try again later.",
    FaultKind.BAD_REQUEST: "The seed is not supported for org-SECRET123 with key sk-abc123.",
    FaultKind.BAD_KEY: "Incorrect API key provided: sk-abc123 of organisation org-SECRET123.",
    FaultKind.FORBIDDEN: "Organisation org-SECRET123 may not use this model.",
    FaultKind.NO_CREDIT: "Insufficient credits for organisation org-SECRET123, key sk-abc123.",
    FaultKind.NO_MODEL: "The model does not exist or organisation org-SECRET123 has no access to it.",
    FaultKind.HOLLOW: "Something went wrong.",
    FaultKind.REQUEST_TIMEOUT: "The request took too long.",
    FaultKind.CONFLICT: "The resource is locked, please try again.",
    FaultKind.FILTERED: "The prompt was filtered due to a content management policy.",
}
RETRY_AFTER_S: Final = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """Strikes with a probability, for one model or all, at most `times`."""

    kind: FaultKind
    probability: float = 1.0
    model: str | None = None
    times: int | None = None


def parse_fault(text: str) -> Fault:
    """Reads `rate-limit`, `rate-limit:0.1` or `rate-limit:0.1:gpt-4o`. Raises ValueError with what is accepted."""
    kind, _, rest = text.partition(":")
    probability, _, model = rest.partition(":")
    try:
        return checked(Fault(FaultKind(kind), float(probability or 1), model or None))
    except ValueError:
        kinds = ", ".join(FaultKind)
        message = (
            f"{text!r} is not a fault; write KIND, KIND:PROBABILITY or KIND:PROBABILITY:MODEL. Kinds: {kinds}"
        )
        raise ValueError(message) from None


def checked(fault: Fault) -> Fault:
    if not 0 <= fault.probability <= 1:
        raise ValueError(f"probability {fault.probability} is not from 0 to 1")
    return fault


class FaultPlan:
    """The faults that are on, in order; the first that strikes wins."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._seed = seed
        self.faults: list[Fault] = []
        self.struck: Counter[FaultKind] = Counter()
        self.replace(faults)

    def replace(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        self._left = [fault.times for fault in self.faults]
        # From here on the same requests meet the same faults, whatever there was before.
        self._draw = random.Random(self._seed)  # noqa: S311 - a simulation that can be repeated

    def strike(self, model: str) -> FaultKind | None:
        """The fault that meets this request, if any."""
        for place, fault in enumerate(self.faults):
            left = self._left[place]
            if left == 0 or (fault.model is not None and fault.model != model):
                continue
            if self._draw.random() < fault.probability:
                if left is not None:
                    self._left[place] = left - 1
                self.struck[fault.kind] += 1
                return fault.kind
        return None
