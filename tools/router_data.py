"""Labelled prompts of the router, read from a folder that is not part of this repository: whether a simple and a
complex model answered each well. The encoder's vectors are kept in a file, since encoding is slow.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.judgement.identity import normalise
from tollway_dataplane.prompts.prompt_features import features
from tools.cache_data import Row, rows
from tools.kept_encodings import KeptEncodings

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_BATCH: Final = 16
# Of LLMRouter's nine models; the others cost a ninth to a fifth of these.
DEAR: Final = (
    "llama-3.1-nemotron-51b-instruct",
    "llama-3.3-nemotron-super-49b-v1",
    "llama3-chatqa-1.5-70b",
)
LEAST_GAP: Final = 0.03  # between the means of two models; with less there is nothing to route for


@dataclass(frozen=True)
class Pair:
    """Of each prompt of a set the quality of a cheaper model's answer and of a dearer, better one's."""

    name: str
    simple: Doubles
    complex: Doubles


@dataclass(frozen=True)
class Questions:
    name: str
    prompts: Sequence[str]
    groups: Sequence[str]  # rows of one group are never on both sides of a split
    kinds: Sequence[str]  # subject, task or category
    pairs: Sequence[Pair]


def mmlu(folder: Path) -> Questions:
    """RouteLLM's outcomes of Mixtral-8x7B-Instruct and GPT-4 on MMLU, without what it calls contaminated."""
    content = [row for row in rows(folder, "routellm_mmlu") if not row["contaminated"]]
    pair = Pair("Mixtral 8x7B, GPT-4", _column(content, "weak_ok"), _column(content, "strong_ok"))
    return Questions(
        "RouteLLM MMLU",
        [normalise(row["prompt"]) for row in content],
        [row["group"] for row in content],
        [row["subject"] for row in content],
        [pair],
    )


def mt_bench(folder: Path) -> Questions:
    """By the first turn, which is all there is when a model is chosen."""
    content = [row for row in rows(folder, "routellm_mtbench") if not row["contaminated"]]
    simple, hard = (
        np.array([float(np.mean(row[f"{side}_scores"])) for row in content]) for side in ("weak", "strong")
    )
    prompts = [normalise(row["turns"][0]) for row in content]
    kinds = [row["category"] for row in content]
    return Questions("MT-Bench", prompts, prompts, kinds, [Pair("Mixtral 8x7B, GPT-4", simple, hard)])


def nine_models(folder: Path) -> Questions:
    """Each cheaper model beside each dearer one that is better on the whole."""
    content = rows(folder, "llmrouter_9models")
    scores = {
        name: np.array([row["scores"][name] for row in content], dtype=np.float64)
        for name in sorted(content[0]["scores"])
    }
    pairs = [
        Pair(f"{cheap}, {dear}", scores[cheap], scores[dear])
        for cheap in scores
        for dear in DEAR
        if cheap not in DEAR and scores[dear].mean() - scores[cheap].mean() > LEAST_GAP
    ]
    prompts = [normalise(row["query"]) for row in content]
    return Questions(
        "LLMRouter", prompts, [stem(text) for text in prompts], [row["task"] for row in content], pairs
    )


def arena(folder: Path) -> Questions:
    """RouterArena, where the cheaper model is the better one: a router that takes price for quality would have the
    dearer one answer what is hard.
    """
    content = rows(folder, "routerarena_2models")
    simple, hard = (
        np.array([row["models"][name]["score"] for row in content], dtype=np.float64)
        for name in ("claude-3-haiku-20240307", "gemini-2.0-flash-001")
    )
    prompts = [normalise(row["prompt"]) for row in content]
    kinds = [row["category"].partition("_")[0] for row in content]
    return Questions(
        "RouterArena", prompts, prompts, kinds, [Pair("Claude 3 Haiku, Gemini 2.0 Flash", simple, hard)]
    )


def stem(text: str) -> str:
    """What the same question has in common in every set."""
    asked = re.sub(r"^Please .*?Question:\s*", "", text, flags=re.DOTALL)
    first = re.search(r"^\(?A[.):]\s", asked, re.MULTILINE)
    return re.sub(r"[^a-z0-9]", "", (asked[: first.start()] if first else asked).lower())[:120]


class Vectors:
    def __init__(self, kept: Path) -> None:
        self._known = KeptEncodings(kept, lambda _, encoded: encoded.vector, _BATCH)

    def of(self, texts: Sequence[str]) -> Floats:
        self._known.add(texts)
        return np.stack([self._known[text] for text in texts])


def table_of(prompts: Sequence[str]) -> Doubles:
    """What can be seen of each."""
    return np.array([features(text) for text in prompts], dtype=np.float64)


def _column(content: Sequence[Row], name: str) -> Doubles:
    return np.array([row[name] for row in content], dtype=np.float64)
