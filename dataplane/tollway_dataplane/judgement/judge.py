"""May the answer to one prompt serve another? First the facts on which both must agree, then a small learned judge over
how their words align, which gives a probability. Pure; weights and how they came about: `docs/judge-model-card.md`.

`Judge.view` is made once a prompt; `Judge.verdict` once a candidate, in under a millisecond.
"""

import base64
import json
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import cache, partial
from importlib.resources import files
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from tollway_api.semantic_cache_index import CriticalCheck, EmbeddingProvider
from tollway_api.snapshot import Embedding
from tollway_dataplane.core.cached_property import cached
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.core.network import Network
from tollway_dataplane.judgement.arrangement import exchanged, left_over, modes_beside_means, persons_differ
from tollway_dataplane.judgement.critical_facts import conflict, quoted_apart
from tollway_dataplane.judgement.endings import endings_differ
from tollway_dataplane.judgement.framing import framed_otherwise
from tollway_dataplane.judgement.pair_features import NAMES, features
from tollway_dataplane.judgement.passive import voices_differ
from tollway_dataplane.judgement.persons import parts_exchanged
from tollway_dataplane.judgement.placing import placed_otherwise
from tollway_dataplane.judgement.slips import one_hand
from tollway_dataplane.judgement.spelling import linked_otherwise, spelled_otherwise
from tollway_dataplane.judgement.surface_form import are_same_words
from tollway_dataplane.judgement.tenses import tenses_differ
from tollway_dataplane.judgement.verbatim import verbatim_differs
from tollway_dataplane.prompts.competence import may_judge
from tollway_dataplane.prompts.lexicon import Relation
from tollway_dataplane.prompts.reading import Encoded, Reading, WordVectors, read, word_vectors
from tollway_dataplane.prompts.word_forms import alike, related

Vector = npt.NDArray[np.float32]
ALL_CHECKS: Final = frozenset(CriticalCheck)
# The judge was trained on the vectors of this model, and so it reads them whatever finds its candidates.
ENCODER: Final = "all-MiniLM-L6-v2"


def is_own(embedding: Embedding) -> bool:
    """Whether an index finds candidates by the very vectors that the judge reads."""
    return embedding.provider is EmbeddingProvider.LOCAL and embedding.model == ENCODER


@dataclass(frozen=True)
class View:
    """A prompt as the judge sees it. To be had again from the prompt, its vector and its word vectors, which is all
    that an entry has to keep, with the turns before it.
    """

    reading: Reading
    words: WordVectors
    vector: Vector  # the encoder's, of length 1
    adapter: Vector  # the judge's
    turns: tuple[Turn, ...] = ()  # before the prompt; the judge itself looks at the prompt alone

    @cached
    def adapted(self) -> Vector:
        """The encoder's vector, turned so that what matters for reuse weighs more. Of what a fact refuses it is not
        asked for.
        """
        turned = self.adapter @ self.vector
        # What `np.linalg.norm` gives, without what that does around it.
        length = float(np.sqrt(turned.dot(turned)))
        found: Vector = turned / max(1e-9, length)
        return found

    @cached
    def may_be_judged(self) -> bool:
        return may_judge(self.reading, self.words)


@dataclass(frozen=True, slots=True)
class Verdict:
    reason: CacheReason  # SEMANTIC: serve
    said: str | Callable[[], str]  # the explanation, or what finds it
    probability: float  # that the answer may be reused; 0 where a fact speaks against it

    @property
    def explanation(self) -> str:
        """One line for a user, such as "numbers differ: 3 ≠ 5"."""
        return self.said if isinstance(self.said, str) else self.said()

    @property
    def serves(self) -> bool:
        return self.reason is CacheReason.SEMANTIC


@dataclass(frozen=True)
class Judge:
    network: Network  # over the features, the adapted cosine last
    adapter: Vector  # (dimensions, dimensions)
    threshold: float  # the probability from which the published error rates hold

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """From `judge.json`. The network's logits are calibrated."""
        content = json.loads(text)
        if content["features"] != [*NAMES, "adapted"]:
            raise ValueError("judge.json was trained on other features; run tools/train_judge.py")
        size = content["dimensions"]
        packed = np.frombuffer(base64.b64decode(content["adapter"]), dtype=np.int8).reshape(size, size)
        adapter = np.eye(size, dtype=np.float32) + packed.astype(np.float32) * np.float32(
            content["adapterScale"]
        )
        return cls(Network.parse(content["network"]), adapter, float(content["threshold"]))

    def view_of(self, text: str, encoded: Encoded, turns: tuple[Turn, ...] = ()) -> View:
        """The view of a prompt that has just been encoded."""
        reading = read(text)
        words = word_vectors(reading, encoded.hidden, encoded.offsets)
        return self.view(reading, encoded.vector, words, turns)

    def view(
        self, reading: Reading, vector: Vector, words: WordVectors, turns: tuple[Turn, ...] = ()
    ) -> View:
        return View(reading, words, vector, self.adapter, turns)

    def probability(self, ours: View, theirs: View) -> float:
        """What the learned part alone makes of the pair."""
        cosine = float(ours.vector @ theirs.vector)
        row = features(ours.reading, theirs.reading, ours.words, theirs.words, cosine)
        row.append(float(ours.adapted @ theirs.adapted))
        logit = float(self.network.logits(np.array(row)))
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))

    def verdict(
        self,
        ours: View,
        theirs: View,
        threshold: float | None = None,
        checks: Collection[CriticalCheck] = ALL_CHECKS,
    ) -> Verdict:
        """Symmetric in the two prompts but for the order in which the explanation names them."""
        if (found := ruling(ours, theirs, checks)) is not None:
            return found
        probability = self.probability(ours, theirs)
        if probability >= (self.threshold if threshold is None else threshold):
            return Verdict(CacheReason.SEMANTIC, f"probability {probability:.3f}", probability)
        # A look-up does not ask for it.
        doubt = partial(_doubt, ours.reading, theirs.reading)
        return Verdict(CacheReason.BELOW_THRESHOLD, doubt, probability)


def ruling(ours: View, theirs: View, checks: Collection[CriticalCheck] = ALL_CHECKS) -> Verdict | None:
    """What is decided without the learned part, if anything."""
    if CriticalCheck.KEYWORDS in checks and (found := _written_otherwise(ours.reading, theirs.reading)):
        return found
    same = are_same_words(ours.reading, theirs.reading)
    # Of another language it is not known which signs and capitals count, so there all do.
    is_letter_for_letter = same and ours.reading.text == theirs.reading.text
    if not is_letter_for_letter and not (ours.may_be_judged and theirs.may_be_judged):
        return Verdict(CacheReason.NOT_JUDGED, "not English prose of moderate length", 0.0)
    mine, yours = ours.reading, theirs.reading
    if not same:
        mine, yours = one_hand(mine, yours)
        same = are_same_words(mine, yours)
    # Of texts of moderate length alone, which bounds what it costs.
    apart = verbatim_differs(mine, yours)
    if apart and CriticalCheck.KEYWORDS in checks:
        return Verdict(CacheReason.KEYWORDS_DIFFER, f"written differently: {apart}", 0.0)
    if same and not apart:
        if CriticalCheck.KEYWORDS in checks and (quoted := quoted_apart(mine, yours)):
            return Verdict(quoted.reason, quoted.explanation, 0.0)
        return Verdict(CacheReason.SEMANTIC, "the same words", 1.0)
    return facts_against(mine, yours, checks)


def _written_otherwise(ours: Reading, theirs: Reading) -> Verdict | None:
    if difference := spelled_otherwise(ours, theirs):
        return Verdict(CacheReason.KEYWORDS_DIFFER, f"spelled differently: {difference}", 0.0)
    if word := linked_otherwise(ours, theirs):
        return Verdict(CacheReason.RELATIONS_DIFFER, f"{word!r} stands otherwise to the rest", 0.0)
    return None


def facts_against(
    ours: Reading, theirs: Reading, checks: Collection[CriticalCheck] = ALL_CHECKS
) -> Verdict | None:
    """What refuses two texts that are worded otherwise, however close they are. Also asked of turns of chats."""
    if found := conflict(ours, theirs, checks):
        return Verdict(found.reason, found.explanation, 0.0)
    return _arranged_otherwise(ours, theirs) if CriticalCheck.KEYWORDS in checks else None


def _arranged_otherwise(ours: Reading, theirs: Reading) -> Verdict | None:
    if pair := exchanged(ours, theirs):
        return Verdict(CacheReason.RELATIONS_DIFFER, f"in another order: {pair[0]}, {pair[1]}", 0.0)
    if (pair := persons_differ(ours, theirs)) and alike(ours, theirs):
        return Verdict(CacheReason.KEYWORDS_DIFFER, f"persons differ: {pair[0]} ≠ {pair[1]}", 0.0)
    if difference := _done_otherwise(ours, theirs) or placed_otherwise(ours, theirs):
        return Verdict(CacheReason.RELATIONS_DIFFER, difference, 0.0)
    mine, yours = modes_beside_means(ours, theirs)
    if mine and yours and mine != yours and alike(ours, theirs):
        shown = " ".join(sorted(mine)), " ".join(sorted(yours))
        return Verdict(CacheReason.KEYWORDS_DIFFER, f"modality differs: {shown[0]} ≠ {shown[1]}", 0.0)
    if difference := framed_otherwise(ours, theirs):
        return Verdict(CacheReason.KEYWORDS_DIFFER, difference, 0.0)
    if words := left_over(ours, theirs):
        return Verdict(CacheReason.KEYWORDS_DIFFER, f"only in one of them: {', '.join(words[:4])}", 0.0)
    return None


def _done_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs in by whom, to whom, of whom or when it is done; "" for nothing."""
    found = parts_exchanged(ours, theirs) or voices_differ(ours, theirs)
    return found or endings_differ(ours, theirs) or tenses_differ(ours, theirs)


def _doubt(ours: Reading, theirs: Reading) -> str:
    """The words that only one of the two has."""
    sides = [_unexplained(ours, theirs), _unexplained(theirs, ours)]
    if not any(sides):
        return "worded too differently"
    mine, yours = (", ".join(side[:4]) or "none" for side in sides)
    return f"words differ: {mine} ≠ {yours}"


def _unexplained(ours: Reading, theirs: Reading) -> list[str]:
    relations = related(ours, theirs)
    others = {theirs.lemmas[j] for j in theirs.content}
    return [
        ours.low[i]
        for i in ours.content
        if not any(
            relation >= Relation.SYNONYM and other in others
            for other, relation in relations[ours.lemmas[i]].items()
        )
    ]


def shown_probability(probability: float) -> str:
    """In four decimals, never more than it is: one that is refused at 0.98 is not shown as 0.9800."""
    return str(Decimal(repr(probability)).quantize(Decimal("0.0001"), ROUND_DOWN))


@cache
def shipped() -> Judge:
    """The judge that comes with the package. With its first verdict the lexicon is read."""
    return Judge.parse((files("tollway_dataplane.judgement") / "judge.json").read_bytes())
