"""From which score on is served at present what is bounded: each index whose error rate is, and each policy whose
simple model's answers are. Followed from the labels that all data planes count together. When they cannot be read, what
was known last stands.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from tollway_api import wire
from tollway_api.error_control import Standing, Tally, standing
from tollway_api.snapshot import Index, Policy
from tollway_api.wire import Sample
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Labels

_EVERY_S: Final = 1.0
# A probability that nothing has.
NOTHING: Final = 2.0


class _Named(Protocol):
    @property
    def id(self) -> str: ...


SubjectT = TypeVar("SubjectT", bound=_Named)


@dataclass(frozen=True, slots=True)
class Kind(Generic[SubjectT]):
    """What may be bounded: what is counted of it, None where it is not; and how it is served where it stands."""

    sample: Callable[[SubjectT], Sample | None]
    served: Callable[[SubjectT, Standing], SubjectT]


class OperatingPoints(Generic[SubjectT]):
    """`on_standing` is told what is known of a subject, by its id; None when it has gone or its bound has."""

    def __init__(
        self, kind: Kind[SubjectT], labels: Labels, on_standing: Callable[[str, Standing | None], None]
    ) -> None:
        self._kind = kind
        self._labels = labels
        self._on_standing = on_standing
        self._samples: dict[str, tuple[SubjectT, Sample]] = {}
        self._applied: dict[str, tuple[SubjectT, SubjectT]] = {}  # as in the snapshot, and as it is served
        self._counted: dict[str, tuple[SubjectT, Sequence[Tally]]] = {}

    def follow(self, subjects: Iterable[SubjectT]) -> None:
        """These are there from now on."""
        sampled = ((each, self._kind.sample(each)) for each in subjects)
        self._samples = {each.id: (each, sample) for each, sample in sampled if sample is not None}
        for gone in self._applied.keys() - self._samples.keys():
            del self._applied[gone]
            self._counted.pop(gone, None)
            self._on_standing(gone, None)

    def applied(self, subject: SubjectT) -> SubjectT:
        """As it is served by now."""
        found = self._applied.get(subject.id)
        if found is not None and found[0] == subject:
            return found[1]
        sample = self._kind.sample(subject)
        # Of a bound of which no label has been read nothing is known.
        return subject if sample is None else self._apply(subject, standing([], sample.control.bound))

    def _apply(self, subject: SubjectT, known: Standing) -> SubjectT:
        served = self._kind.served(subject, known)
        self._applied[subject.id] = (subject, served)
        return served

    async def refresh(self) -> None:
        for subject, sample in tuple(self._samples.values()):
            try:
                tallies = await self._labels.tallies(sample)
            except CacheFault:
                continue
            counted = (subject, tallies)
            if self._samples.get(subject.id) != (subject, sample) or self._counted.get(subject.id) == counted:
                continue  # it may have gone meanwhile; and what comes of the same labels is known
            self._counted[subject.id] = counted
            known = standing(tallies, sample.control.bound)
            self._apply(subject, known)
            self._on_standing(subject.id, known)

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_S)


def _served_index(index: Index, known: Standing) -> Index:
    served = known.serves_from
    return replace(index, threshold=NOTHING if served is None else served)


def _served_policy(policy: Policy, known: Standing) -> Policy:
    return replace(policy, route=replace(policy.route, simple_share=known.left_to_simple))


# By the least probability of what is served by meaning, and by the share of prompts that is left to the simple model.
INDEXES: Final = Kind(wire.hits_of, _served_index)
POLICIES: Final = Kind(wire.choices_of, _served_policy)
