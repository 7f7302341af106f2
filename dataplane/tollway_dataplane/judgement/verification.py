"""May this remembered answer serve this prompt? Closeness of embeddings alone cannot say: a question and its
reverse can be closer than two wordings of one question. So the judge is asked, with what the index demands; and of a
chat, whether what was said before is the same for this question (`conversation`).

Pure; called with the nearest neighbours of one partition.
"""

from collections.abc import Collection
from typing import Protocol

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.chat_pairs import Chat
from tollway_dataplane.judgement.conversation import difference
from tollway_dataplane.judgement.judge import Judge, Verdict, View


class Demands(Protocol):
    """What an index asks of a semantic hit."""

    @property
    def threshold(self) -> float: ...

    @property
    def strict_threshold(self) -> float: ...

    @property
    def checks(self) -> Collection[CriticalCheck]: ...


def verify(ours: View, theirs: View, demands: Demands, judge: Judge) -> Verdict:
    """Whether the remembered prompt's answer may serve, or what speaks against it. Symmetric in the two prompts but for
    the order in which the explanation names them.
    """
    exacting = _is_exacting(ours) or _is_exacting(theirs)
    threshold = demands.strict_threshold if exacting else demands.threshold
    verdict = judge.verdict(ours, theirs, threshold, demands.checks)
    if verdict.reason is CacheReason.BELOW_THRESHOLD and verdict.probability >= demands.threshold:
        return Verdict(CacheReason.BELOW_STRICT_THRESHOLD, verdict.said, verdict.probability)
    if verdict.serves and (ours.turns or theirs.turns):
        return _after_other_turns(ours, theirs) or verdict
    return verdict


def _after_other_turns(ours: View, theirs: View) -> Verdict | None:
    found = difference(Chat(ours.reading, ours.turns), Chat(theirs.reading, theirs.turns))
    return Verdict(CacheReason.CONVERSATION_DIFFERS, found, 0.0) if found else None


def _is_exacting(view: View) -> bool:
    """Whether a prompt has numbers, amounts or dates, and so wants the strict threshold."""
    return bool(view.reading.quantities or view.reading.calendar or view.reading.codes)
