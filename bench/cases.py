"""What is compared: who is asked, what, and against which baseline. Subjects are started when the first case wants
them, and one may be asked in several ways.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Final

from bench.prompts import ONE, REMEMBERED, body, mixed, paraphrases
from bench.provider import fake_provider
from bench.subjects import Subject, baseline, litellm_proxy, portkey, tollway

PASS_THROUGH: Final = "pass-through"
PARSE_AND_REPLY: Final = "parse and reply"


class Stand:
    """Where the subjects of one run stand, before one provider."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    @cached_property
    def upstream(self) -> str:
        return self._stack.enter_context(fake_provider(self.folder))

    def baseline(self, name: str) -> Subject:
        return self._stack.enter_context(baseline(self.folder, name, self.upstream))

    @cached_property
    def tollway(self) -> Subject:
        return self._stack.enter_context(tollway(self.folder / "tollway", self.upstream, cached=False))

    @cached_property
    def tollway_cached(self) -> Subject:
        return self._stack.enter_context(tollway(self.folder / "cached", self.upstream, cached=True))

    def litellm(self, *, cached: bool) -> Subject:
        folder = self.folder / ("litellm-cached" if cached else "litellm")
        return self._stack.enter_context(litellm_proxy(folder, self.upstream, cached=cached))

    @cached_property
    def portkey(self) -> Subject:
        return self._stack.enter_context(portkey(self.folder, self.upstream))


@dataclass(frozen=True)
class Case:
    """`prompts` are asked in their order. `against` is the baseline, and `what` says what is on and what is off."""

    start: Callable[[Stand], Subject]
    prompts: Callable[[], Iterator[str]]
    against: str
    what: str
    longer: int = 1  # times, where so few are answered that it takes time to count them

    @property
    def is_of_one_prompt(self) -> bool:
        return isinstance(self.prompts(), repeat)


def _one() -> Iterator[str]:
    return repeat(ONE)


def _remembered() -> Iterator[str]:
    return repeat(REMEMBERED[0])


CASES: Final[Mapping[str, Case]] = {
    PASS_THROUGH: Case(lambda stand: stand.baseline("pass-through"), _one, "", "body and reply handed on unread"),
    PARSE_AND_REPLY: Case(lambda stand: stand.baseline("parse-and-reply"), _one, "", "a fixed reply to a body read"),
    "Tollway live": Case(
        lambda stand: stand.tollway, _one, PASS_THROUGH,
        "key, policy, budget of money, tokens and requests, metrics, a log line; no cache",
    ),
    "Tollway exact": Case(
        lambda stand: stand.tollway_cached, _remembered, PARSE_AND_REPLY,
        "the same with its cache, which has the very question in process",
    ),
    "Tollway semantic": Case(
        lambda stand: stand.tollway_cached, paraphrases, PARSE_AND_REPLY,
        "the same, asked in other words than what is remembered, and hardly ever twice in the same",
    ),
    "Tollway mixed": Case(
        lambda stand: stand.tollway_cached, mixed, PASS_THROUGH,
        "the same: 34 % asked before, 11 % in other words, 55 % never; these are embedded, compared and remembered",
    ),
    "LiteLLM Proxy live": Case(
        lambda stand: stand.litellm(cached=False), _one, PASS_THROUGH,
        "master key; no database, so no budgets; no callbacks, log level ERROR",
        longer=3,
    ),
    "LiteLLM Proxy exact": Case(
        lambda stand: stand.litellm(cached=True), _remembered, PARSE_AND_REPLY,
        "the same with its cache, in a Redis",
        longer=3,
    ),
    "Portkey live": Case(
        lambda stand: stand.portkey, _one, PASS_THROUGH,
        "as its npm package comes: no keys of its own, no budgets, no cache",
    ),
}  # fmt: skip


def opened(names: list[str], stand: Stand) -> dict[str, "Asking"]:
    return {name: Asking(CASES[name], CASES[name].start(stand)) for name in names}


class Asking:
    """A case whose subject runs: what it is asked next."""

    def __init__(self, case: Case, subject: Subject) -> None:
        self.case = case
        self.subject = subject
        self._prompts = case.prompts()

    def bodies(self, count: int) -> list[bytes]:
        """That many, or the one that there is."""
        wanted = 1 if self.case.is_of_one_prompt else count
        return [body(next(self._prompts)) for _ in range(wanted)]
