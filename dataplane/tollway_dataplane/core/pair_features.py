"""What the judge looks at in two prompts: how their words align, what is left over on either side, and on which
facts they differ. Pure and symmetric: swapping the two changes nothing.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.arrangement import exchanged, modes, persons_differ
from tollway_dataplane.core.framing import asked_otherwise
from tollway_dataplane.core.lexicon import Relation, english
from tollway_dataplane.core.likeness import related, slips
from tollway_dataplane.core.once import once, once_of_two
from tollway_dataplane.core.reading import Reading, WordVectors

NAMES: Final = tuple(
    (
        "cosine worst_low worst_high second_low mean_low mean_high below_50 below_65 below_80 left_low "
        "left_high left_share same_share_low same_share_high synonyms broader siblings opposites "
        "unexplained_low unexplained_high things_low things_high left_names left_unknown left_rank_low "
        "left_rank_high left_pair_low left_pair_high centred_worst_low centred_worst_high "
        "centred_mean_low centred_pair_low left_mean_cosine one_sided one_sided_worst trigrams shorter "
        "length_ratio content_shorter content_difference inversions function_share question_differs "
        "person_differs scope_differs negation_differs polarity_conflict polarity_axis_conflict "
        "polarity_one_sided parity_differs numbers_differ numbers_one_sided calendar_differs "
        "asked_otherwise order_differs persons_exchanged modes_differ numbers_of_nouns names_one_sided"
    ).split()
)

# Of similarity, below which words are counted; compared as the numbers of 32 bits that similarities are.
_LIMITS: Final = tuple(float(np.float32(limit)) for limit in (0.5, 0.65, 0.8))
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the content words of two prompts stand to each other."""

    vectors: Matrix  # of the words, ours above theirs, in whole numbers
    similarity: Matrix  # between them, (ours, theirs)
    relations: list[list[Relation]]
    left: tuple[
        list[int], list[int]
    ]  # rows and columns of words that the other prompt has not, nor as a form


def align(ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors) -> Alignment:
    vectors = np.concatenate([our_vectors, their_vectors]).astype(np.float32)
    count = len(our_vectors)
    similarity = (vectors[:count] @ vectors[count:].T) * np.float32(1 / (127 * 127))
    relations_of = related(ours, theirs)
    others = [theirs.lemmas[i] for i in theirs.content]
    relations: list[list[Relation]] = []
    for i in ours.content:
        found = relations_of[ours.lemmas[i]]
        row = [found.get(other, Relation.UNRELATED) for other in others]
        if meant := slips(ours.low[i], theirs):
            row = [
                Relation.SAME if theirs.low[j] in meant else relation
                for j, relation in zip(theirs.content, row, strict=True)
            ]
        relations.append(row)
    left_ours = [i for i, row in enumerate(relations) if Relation.SAME not in row]
    columns = zip(*relations, strict=True) if relations else [()] * len(others)
    left_theirs = [j for j, column in enumerate(columns) if Relation.SAME not in column]
    return Alignment(vectors, similarity, relations, (left_ours, left_theirs))


def features(
    ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors, cosine: float
) -> list[float]:
    """In the order of NAMES."""
    alignment = align(ours, theirs, our_vectors, their_vectors)
    return [
        cosine,
        *_closeness(alignment),
        *_left_over(ours, theirs, alignment),
        *_shape(ours, theirs, alignment),
        *_facts(ours, theirs),
    ]


def _closeness(alignment: Alignment) -> list[float]:
    """How well each content word is matched by the best of the other prompt, a same word counting in full."""
    similarity = alignment.similarity
    if not similarity.size:
        return [0.0] * 5 + [9.0] * 3
    ordered: list[list[float]] = []
    means: list[float] = []
    for axis, left in zip((1, 0), alignment.left, strict=True):
        side = _most(similarity, axis)
        as_left = side[left]
        np.maximum(side, 0.5 + 0.5 * side, out=side)
        side[left] = as_left
        side.sort()
        means.append(float(_mean(side)))
        ordered.append(side.tolist())
    worst = sorted(side[0] for side in ordered)
    second = min(side[1] if len(side) > 1 else 1.0 for side in ordered)
    below = (float(sum(bisect_left(side, limit) for side in ordered)) for limit in _LIMITS)
    return [*worst, second, *sorted(means), *below]


# Reductions without what the methods of an array do around them, which takes longer than they do.


def _most(values: Matrix, axis: int) -> Matrix:
    found: Matrix = np.maximum.reduce(values, axis=axis)
    return found


def _least(values: Matrix) -> float:
    return float(np.minimum.reduce(values))


def _mean(values: Matrix, axis: int | None = None) -> Matrix:
    total: Matrix = np.add.reduce(values, axis=axis)
    return total / np.float32(values.size if axis is None else values.shape[axis])


def _centred(vectors: Matrix, count: int) -> Matrix:
    """Similarity of words with what all words of the two prompts share taken away: the encoder lets every word of a
    sentence take up much of the whole. `count` vectors are the first prompt's.
    """
    others = len(vectors) - count
    if not count or not others:
        return np.zeros((max(1, count), max(1, others)), dtype=np.float32)
    middle = (_mean(vectors[:count], 0) + _mean(vectors[count:], 0)) / np.float32(2)
    words = vectors - middle
    words /= np.maximum(np.sqrt(np.add.reduce(words * words, axis=1, keepdims=True)), 1e-6)
    matrix: Matrix = words[:count] @ words[count:].T
    return matrix


def _left_over(ours: Reading, theirs: Reading, alignment: Alignment) -> list[float]:
    """The words that only one prompt has: how many, how they relate, how rare they are."""
    left_ours, left_theirs = alignment.left
    rows = [[alignment.relations[i][j] for j in left_theirs] for i in left_ours]
    columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in left_theirs]
    our_best, their_best = (
        [max(row, default=Relation.UNRELATED) for row in side] for side in (rows, columns)
    )
    our_lemmas = [ours.lemmas[ours.content[i]] for i in left_ours]
    their_lemmas = [theirs.lemmas[theirs.content[j]] for j in left_theirs]
    sides = (
        _side(our_lemmas, our_best, len(ours.content)),
        _side(their_lemmas, their_best, len(theirs.content)),
    )
    sizes, shares, unexplained, things, ranks = map(sorted, zip(*sides, strict=True))
    best, lemmas = our_best + their_best, our_lemmas + their_lemmas
    return [
        *sizes, sum(sizes) / max(1, len(ours.content) + len(theirs.content)), *shares,
        best.count(Relation.SYNONYM), best.count(Relation.BROADER), best.count(Relation.SIBLING),
        # The worst pairings count only where nothing better explains the word.
        max(sum(Relation.OPPOSITE in row for row in side) for side in (rows, columns)),
        *unexplained, *things,
        sum(lemma in ours.names or lemma in theirs.names for lemma in lemmas),
        sum(not english().is_ordinary(lemma) for lemma in lemmas),
        *ranks, *_vectors_left(alignment),
    ]  # fmt: skip


def _side(left: list[str], best: list[Relation], count: int) -> tuple[float, ...]:
    """Of one prompt: how many words are left over, the share of those that are not, how many nothing explains, how many
    of these are no verbs, and how rare the rarest is.
    """
    lexicon = english()
    unexplained = [lemma for lemma, relation in zip(left, best, strict=True) if relation < Relation.BROADER]
    return (
        len(left),
        1 - len(left) / max(1, count),
        len(unexplained),
        sum(not lexicon.is_verb(lemma) for lemma in unexplained),
        max(map(lexicon.rank, left), default=-1),
    )


def _vectors_left(alignment: Alignment) -> list[float]:
    """How near the words that are left over are to each other, or where only one prompt has such, to all."""
    ours, theirs = alignment.left
    vectors, similarity = alignment.vectors, alignment.similarity
    count = len(similarity)
    centred = _centred(vectors, count)
    pair_low, pair_high, mean, centred_pair, one_sided_worst = 1.0, 1.0, 1.0, 1.0, 1.0
    if ours and theirs:
        pair_low, pair_high = _least_and_most(similarity, ours, theirs)
        centred_pair, _ = _least_and_most(centred, ours, theirs)
        a, b = np.add.reduce(vectors[:count].take(ours, 0)), np.add.reduce(vectors[count:].take(theirs, 0))
        mean = float(a @ b / max(1e-9, float(np.sqrt(a.dot(a)) * np.sqrt(b.dot(b)))))
    elif ours and similarity.shape[1]:
        one_sided_worst = _least(_most(similarity.take(ours, 0), 1))
    elif theirs and similarity.shape[0]:
        one_sided_worst = _least(_most(similarity.take(theirs, 1), 0))
    best = _most(centred, 1), _most(centred, 0)
    return [
        pair_low, pair_high, *sorted(map(_least, best)), min(float(_mean(side)) for side in best),
        centred_pair, mean, float(bool(ours) != bool(theirs)), one_sided_worst,
    ]  # fmt: skip


def _least_and_most(values: Matrix, rows: list[int], columns: list[int]) -> tuple[float, float]:
    """Of the best matches of some words in either direction."""
    block = values.take(rows, 0).take(columns, 1).tolist()
    best = list(map(max, block))
    return min(*best, *map(max, zip(*block, strict=True))), max(best)


def _shape(ours: Reading, theirs: Reading, alignment: Alignment) -> list[float]:
    shared = len(ours.trigrams & theirs.trigrams)
    lengths = sorted((len(ours.low), len(theirs.low)))
    counts = sorted((len(ours.content), len(theirs.content)))
    columns = list(zip(*alignment.relations, strict=True))
    our_frame, their_frame = _frame(ours), _frame(theirs)
    return [
        2 * shared / max(1, len(ours.trigrams) + len(theirs.trigrams)),
        float(lengths[0]), lengths[0] / max(1, lengths[1]), float(counts[0]), float(counts[1] - counts[0]),
        # What only a word said twice turns round is in order.
        min(_inversions(alignment.relations), _inversions(columns)),
        len(our_frame & their_frame) / max(1, len(our_frame | their_frame)),
    ]  # fmt: skip


def _inversions(rows: Sequence[Sequence[Relation]]) -> float:
    """Of the pairs of words that both prompts have, the share that stands the other way round in the other."""
    places = [row.index(Relation.SAME) for row in rows if Relation.SAME in row]
    pairs = len(places) * (len(places) - 1) / 2
    turned = sum(sum(map(a.__gt__, places[i + 1 :])) for i, a in enumerate(places))
    return turned / pairs if pairs else 0.0


@once
def _frame(reading: Reading) -> frozenset[str]:
    """Words that are nowhere part of what is asked."""
    return frozenset(reading.low).difference(reading.low[i] for i in reading.content)


def _facts(ours: Reading, theirs: Reading) -> list[float]:
    our_numbers, their_numbers = ours.quantities, theirs.quantities
    numbers_differ = len(our_numbers) != len(their_numbers) or not all(
        any(one.agrees(other) for other in others)
        for numbers, others in ((our_numbers, their_numbers), (their_numbers, our_numbers))
        for one in numbers
    )
    net, axis, one_sided = polarity_conflict(ours, theirs)
    return [
        float(ours.question != theirs.question),
        float(len(ours.persons ^ theirs.persons)),
        float(len(ours.scope ^ theirs.scope)),
        float(ours.negations % 2 != theirs.negations % 2),
        net, axis, one_sided, float(parity_differs(ours, theirs)),
        float(numbers_differ and bool(our_numbers) and bool(their_numbers)),
        float(bool(our_numbers) != bool(their_numbers)),
        float(len(ours.calendar ^ theirs.calendar)),
        float(bool(asked_otherwise(ours, theirs))), float(exchanged(ours, theirs) is not None),
        float(persons_differ(ours, theirs) is not None), float(modes(ours) != modes(theirs)),
        float(_numbers_of_nouns(ours, theirs)), float(bool(ours.names) != bool(theirs.names)),
    ]  # fmt: skip


def _numbers_of_nouns(ours: Reading, theirs: Reading) -> int:
    """How many words stand in one prompt as one thing and in the other as several."""
    mine, yours = _forms(ours), _forms(theirs)
    return sum(
        forms.isdisjoint(yours[lemma])
        and not yours[lemma].isdisjoint(
            {each + "s" for each in forms} | {each.removesuffix("s") for each in forms}
        )
        for lemma, forms in mine.items()
        if lemma in yours
    )


@once
def _forms(reading: Reading) -> dict[str, set[str]]:
    """How each lemma is written."""
    found: dict[str, set[str]] = {}
    for i in reading.content:
        found.setdefault(reading.lemmas[i], set()).add(reading.low[i])
    return found


@once_of_two
def parity_differs(ours: Reading, theirs: Reading) -> bool:
    """Whether one is turned over more often than the other, of what they do not both say: a negation and a word
    on
    the side of "not" each turn a sentence over, so that "do not remove" is "keep".
    """
    mine, yours = list(ours.turns), list(theirs.turns)
    for word in ours.turns:
        if word in yours:
            yours.remove(word)
            mine.remove(word)
    return (len(mine) + len(yours)) % 2 == 1


@once_of_two
def polarity_conflict(ours: Reading, theirs: Reading) -> tuple[float, float, float]:
    """Whether the two pull in opposite directions over all, on how many axes, and whether only one pulls at
    all.

    What both say in the same words and with the same sign is left out.
    """
    mine, yours = list(ours.polarity), list(theirs.polarity)
    for item in ours.polarity:
        if item in yours:
            yours.remove(item)
            mine.remove(item)
    our_net, their_net = sum(side for *_, side in mine), sum(side for *_, side in yours)
    axes = {axis for _, axis, _ in mine} & {axis for _, axis, _ in yours}
    conflicts = sum(
        sum(s for _, a, s in mine if a == axis) * sum(s for _, a, s in yours if a == axis) < 0
        for axis in axes
    )
    return float(our_net * their_net < 0), float(conflicts), float(bool(our_net) != bool(their_net))
