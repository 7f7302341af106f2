"""May this remembered answer serve this prompt? Closeness of embeddings alone cannot say: a question and its
reverse can be closer than two wordings of one question. So the judge is asked, with what the index demands.

Pure; called with the nearest neighbours of one partition.
"""

from tollway_api.snapshot import Index
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.judge import Judge, Verdict, View


def verify(ours: View, theirs: View, index: Index, judge: Judge) -> Verdict:
    """Whether the remembered prompt's answer may serve, or what speaks against it. Symmetric in the two prompts but for
    the order in which the explanation names them.
    """
    exacting = _is_exacting(ours) or _is_exacting(theirs)
    verdict = judge.verdict(
        ours, theirs, index.strict_threshold if exacting else index.threshold, index.checks
    )
    if verdict.reason is CacheReason.BELOW_THRESHOLD and verdict.probability >= index.threshold:
        return Verdict(CacheReason.BELOW_STRICT_THRESHOLD, verdict.explanation, verdict.probability)
    return verdict


def _is_exacting(view: View) -> bool:
    """Whether a prompt has numbers, amounts or dates, and so wants the strict threshold."""
    return bool(view.reading.quantities or view.reading.calendar or view.reading.codes)
