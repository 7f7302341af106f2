"""Is a prompt simple enough for the cheap model? Two classifiers behind one Protocol: by words and keywords, and by a
small learned model over the encoder's vector of the prompt and what can be seen of it. Pure; called by `choosing`.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from tollway_api.error_control import Scale
from tollway_api.own_weights import read
from tollway_api.snapshot import Route
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest, answer_format, has_tools, text_of_content, user_texts
from tollway_dataplane.core.values import value
from tollway_dataplane.judgement.identity import normalise
from tollway_dataplane.routing.router import Fitted, Predictor, Router

Vector = npt.NDArray[np.float32]
_WORD: Final = re.compile(r"\w+(?:['’-]\w+)*")
# What is longer has no blanks where words end, and looking for keywords in it would take long.
_LONGEST_WORD: Final = 1_000

# An example counts for as much as this many of the model's own guesses where it is the very prompt, and a tenth of that
# for each so much that the cosine is less: 1.9 at 0.8, and 0.07 at 0.4, where two prompts have nothing in common.
_EXAMPLE: Final = 10.0
_FADING: Final = 0.12
_MOST_EXAMPLES: Final = 5  # the nearest
# Taken off the log-odds: no data were there to learn these from, so they are what experience says (docs/routing.md).
_TOOLS: Final = 1.0
_STRUCTURED: Final = 0.3
_EARLIER_TURN: Final = 0.05
_MOST_TURNS: Final = 10
_SPEAKING: Final = frozenset({"user", "assistant"})


@value
class Prompt:
    """What a classifier may look at: one turn of a user, and what there is beside it."""

    text: str = field(repr=False)
    vector: Vector | None = field(default=None, repr=False)  # the encoder's; None: it was not there in time
    turns: int = 0  # before it, of the user and of the assistant
    has_tools: bool = False
    is_structured: bool = False  # the answer has to have a form


def prompts_of(request: ChatRequest) -> list[Prompt]:
    """Turn by turn what the user has said, as the cache reads it. What tools return is no turn; of a request without a
    user it is the last message that counts.
    """
    may_call, is_structured = (
        has_tools(request.parameters),
        answer_format(request.parameters) not in {"", "text"},
    )
    turns = list(accumulate((int(each.get("role") in _SPEAKING) for each in request.messages), initial=0))
    users = [place for place, each in enumerate(request.messages) if each.get("role") == "user"]
    return [
        Prompt(_text_at(place, request), None, turns[place], may_call, is_structured)
        for place in users or [len(request.messages) - 1]
    ]


def _text_at(place: int, request: ChatRequest) -> str:
    return normalise(text_of_content(request.messages[place].get("content"))) if request.messages else ""


def texts_of(request: ChatRequest) -> list[str]:
    """The texts of the same turns as they were written, for who looks at nothing else."""
    said = list(user_texts(request.messages))
    return said or [text_of_content(each.get("content")) for each in request.messages[-1:]] or [""]


@value
class Assessment:
    reason: RouteReason  # SIMPLE, MIDDLE, or what makes it complex
    probability: float | None = None  # that the simple model's answer is good enough; None: nobody can say
    threshold: float | None = (
        None  # from which on the model that was chosen is to answer, or that before the complex one
    )
    was_embedded: bool = True  # False where it had to be and was not, so that another classifier has spoken
    step: int = 0  # of MIDDLE: which of the route's steps
    has_own_weights: bool = (
        True  # False where the policy's do not fit this version, so that the shipped model has spoken
    )

    @property
    def is_simple(self) -> bool:
        return self.reason is RouteReason.SIMPLE

    def at(self, threshold: float, *, if_unknown: bool) -> "Assessment":
        """The assessment by another threshold. `if_unknown`: whether what nobody can say is the simple model's."""
        is_likely = if_unknown if self.probability is None else self.probability >= threshold
        reason = RouteReason.SIMPLE if is_likely else RouteReason.COMPLEX
        return replace(self, reason=reason, threshold=threshold, step=0)


class Classifier(Protocol):
    def assess(self, prompt: Prompt) -> Assessment: ...


@value
class Heuristic:
    """Words and keywords: microseconds, explainable, no model."""

    word_threshold: int
    keywords: tuple[str, ...]  # lower case

    def assess(self, prompt: Prompt) -> Assessment:
        return self.of(prompt.text)

    def of(self, text: str) -> Assessment:
        """Of a text as it was written: what else the cache makes of it are blanks, which change no word."""
        return Assessment(self._reason(unicodedata.normalize("NFC", text).strip()))

    def _reason(self, text: str) -> RouteReason:
        most = self.word_threshold
        if len(text) > _LONGEST_WORD * max(1, most) or len(text.split(maxsplit=most)) > most:
            return RouteReason.MANY_WORDS
        folded = text.casefold()
        # Hardly any prompt has one, and to take it apart takes far longer than to look for one anywhere.
        has_any = any(each in folded for each in self.keywords)
        if has_any and not set(_WORD.findall(folded)).isdisjoint(self.keywords):
            return RouteReason.KEYWORD
        return RouteReason.SIMPLE


@dataclass(frozen=True, slots=True)
class Examples:
    """Prompts of which it is known, by the encoder's vectors."""

    vectors: Vector  # one a row, of length 1
    are_simple: npt.NDArray[np.float64]  # 1 or 0

    @classmethod
    def of(cls, simple: Sequence[Vector], hard: Sequence[Vector]) -> "Examples":
        return cls(np.stack([*simple, *hard]), np.array([1.0] * len(simple) + [0.0] * len(hard)))

    def beside(self, probability: float, vector: Vector) -> float:
        """A probability after the nearest examples were heard: a kernel-weighted vote with the model as one voter
        (Nadaraya, 1964).
        """
        cosines = self.vectors @ vector
        nearest = np.argsort(-cosines, kind="stable")[:_MOST_EXAMPLES]
        votes = _EXAMPLE * np.exp((cosines[nearest].astype(np.float64) - 1) / _FADING)
        return float((probability + votes @ self.are_simple[nearest]) / (1 + votes.sum()))


@dataclass(frozen=True, slots=True)
class Embedding:
    """The learned model, with a policy's examples; another classifier while a prompt has no vector."""

    predictor: Predictor
    thresholds: tuple[float, ...]  # falling: of each model but the complex one, the simple one first
    otherwise: Classifier
    examples: Examples | None = None
    has_own_weights: bool = True

    def assess(self, prompt: Prompt) -> Assessment:
        if prompt.vector is None:
            return self._unread(prompt)
        probability = self.probability(prompt, prompt.vector)
        place, reason = self._placed(probability)
        threshold = self.thresholds[min(place, len(self.thresholds) - 1)]
        return Assessment(reason, probability, threshold, step=place, has_own_weights=self.has_own_weights)

    def _unread(self, prompt: Prompt) -> Assessment:
        """Without a vector. Where the dial leaves a model nothing, or everything, no other classifier changes that."""
        told = self.otherwise.assess(prompt)
        place, reason = self._placed(float(told.is_simple))
        is_agreed = reason is (RouteReason.SIMPLE if told.is_simple else RouteReason.COMPLEX)
        return Assessment(told.reason if is_agreed else reason, step=place, was_embedded=False)

    def _placed(self, probability: float) -> tuple[int, RouteReason]:
        """Which of the models, and what that is called."""
        enough = (place for place, least in enumerate(self.thresholds) if probability >= least)
        place = next(enough, len(self.thresholds))
        if place == len(self.thresholds):
            return place, RouteReason.COMPLEX
        return place, RouteReason.MIDDLE if place else RouteReason.SIMPLE

    def probability(self, prompt: Prompt, vector: Vector) -> float:
        less = _TOOLS * prompt.has_tools + _STRUCTURED * prompt.is_structured
        less += _EARLIER_TURN * min(_MOST_TURNS, prompt.turns)
        found = self.predictor.probability(prompt.text, vector, less)
        return found if self.examples is None else self.examples.beside(found, vector)


class Eases:
    """How easy prompts are, on the scale by which the simple model's answers are judged; `threshold_of` says from which
    probability on a share of prompts is left to it, by the router's curve.
    """

    def __init__(self, threshold_of: Callable[[float], float]) -> None:
        self.threshold_of = threshold_of

    def of(self, turns: Sequence[Assessment]) -> float | None:
        """The share of prompts that are harder than the hardest of these. None where of one nobody could say."""
        probabilities = [each.probability for each in turns if each.probability is not None]
        if len(probabilities) < len(turns):
            return None
        hardest = min(probabilities)
        return next(ease for ease in Scale.EASE.points if hardest >= self.threshold_of(1 - ease))


def heuristic(route: Route) -> Heuristic:
    return Heuristic(route.word_threshold, route.keywords)


def embedding(route: Route, router: Router, examples: Examples | None = None) -> Embedding:
    """The learned classifier, with the policy's own weights where they are of this version. Raises ValueError for a
    route without a dial.
    """
    predictor = predictor_of(route, router)
    has_own_weights = not route.weights or predictor is not router
    if route.quality is not None:
        thresholds = predictor.dial.for_steps(route.steps, route.quality)
    elif route.simple_share is not None:
        thresholds = (predictor.dial.for_share(route.simple_share),)
    else:
        raise ValueError("a route by probability needs a quality or a share of prompts")
    return Embedding(predictor, thresholds, heuristic(route), examples, has_own_weights)


def predictor_of(route: Route, router: Router) -> Predictor:
    """The shipped router as well where own weights are not of this version."""
    try:
        return Fitted.of(read(route.weights), router) if route.weights else router
    except ValueError:
        return router
