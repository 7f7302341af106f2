"""What the judge looks at in two prompts: how their words align, what is left over on either side, and on which
facts they differ. Pure and symmetric: swapping the two changes nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tollway_dataplane.judgement.arrangement import exchanged, modes, persons_differ
from tollway_dataplane.judgement.framing import asked_otherwise
from tollway_dataplane.prompts.lexicon import Relation, english
from tollway_dataplane.prompts.once import once, once_of_two
from tollway_dataplane.prompts.reading import Reading, WordVectors
from tollway_dataplane.prompts.word_forms import all_slips, related

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

# Of similarity, below which words are counted.
_LIMITS: Final = (0.5, 0.65, 0.8)
_UNIT: Final = 1 / (127 * 127)  # the length of a word's vector is 127
_NO_LENGTH: Final = 1e-6  # squared; what is shorter is nothing but rounding
# Between each word of one prompt and each of the other. Prompts are short: lists are faster than arrays of that size.
Table = list[list[float]]
# A member of an enumeration that is asked of it each time takes as long as what is done with it.
_BROADER: Final = Relation.BROADER
_OPPOSITE: Final = Relation.OPPOSITE
_SAME: Final = Relation.SAME
_SIBLING: Final = Relation.SIBLING
_SYNONYM: Final = Relation.SYNONYM
_UNRELATED: Final = Relation.UNRELATED


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the content words of two prompts stand to each other."""

    products: Table  # of the vectors of all words, ours before theirs; whole numbers
    similarity: Table  # (ours, theirs)
    best: tuple[
        list[float], list[float]
    ]  # of each word its most similar; nothing where either prompt has no words
    same: tuple[list[int], list[int]]  # of each word its first like in the other prompt, -1 where it has none
    left: tuple[list[int], list[int]]  # those that the other prompt has not, nor as a form
    relations: list[list[Relation]]  # between these, (ours, theirs)


def align(ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors) -> Alignment:
    vectors = np.concatenate([our_vectors, their_vectors]).astype(np.float32)
    products: Table = (vectors @ vectors.T).tolist()
    count = len(our_vectors)
    similarity = [[product * _UNIT for product in row[count:]] for row in products[:count]]
    slipped = all_slips(ours, theirs)
    same = _same(ours, theirs, slipped), _same(theirs, ours, all_slips(theirs, ours) if slipped else {})
    left_ours, left_theirs = ([i for i, like in enumerate(side) if like < 0] for side in same)
    relations_of = related(ours, theirs)
    others = [theirs.lemmas[theirs.content[j]] for j in left_theirs]
    rows = [relations_of[ours.lemmas[ours.content[i]]] for i in left_ours]
    relations = [[row.get(other, _UNRELATED) for other in others] for row in rows]
    return Alignment(products, similarity, _best(similarity), same, (left_ours, left_theirs), relations)


def _same(of: Reading, against: Reading, slipped: dict[int, list[str]]) -> list[int]:
    """For each content word, the first place in the other prompt of the same word, a form of it or a slip."""
    relations_of, places = related(of, against), _first_places(against)
    found: list[int] = []
    for i in of.content:
        likes = [
            places[lemma]
            for lemma, relation in relations_of[of.lemmas[i]].items()
            if relation is _SAME and lemma in places
        ]
        if i in slipped:
            likes += (place for place, j in enumerate(against.content) if against.low[j] in slipped[i])
        found.append(min(likes, default=-1))
    return found


@once
def _first_places(reading: Reading) -> dict[str, int]:
    """Where among the content words each lemma first stands."""
    places: dict[str, int] = {}
    for place, i in enumerate(reading.content):
        places.setdefault(reading.lemmas[i], place)
    return places


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
    if not all(alignment.best):
        return [0.0] * 5 + [9.0] * 3
    ordered: list[list[float]] = []
    for best, left in zip(alignment.best, alignment.left, strict=True):
        side = [max(each, 0.5 + 0.5 * each) for each in best]
        for i in left:
            side[i] = best[i]
        ordered.append(sorted(side))
    worst = sorted(side[0] for side in ordered)
    second = min(side[1] if len(side) > 1 else 1.0 for side in ordered)
    below = (float(sum(bisect_left(side, limit) for side in ordered)) for limit in _LIMITS)
    return [*worst, second, *sorted(map(_mean, ordered)), *below]


def _best(table: Table) -> tuple[list[float], list[float]]:
    """The most of each row and of each column."""
    return list(map(max, table)), list(map(max, zip(*table, strict=True)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _centred(products: Table, count: int) -> Table:
    """Similarity of words with what all words of the two prompts share taken away: the encoder lets every word of a
    sentence take up much of the whole. `count` of the words are the first prompt's.
    """
    if not count or count == len(products):
        return [[0.0]]
    # What is shared is the mean of both prompts' means; of each word, and of that mean itself, the product with it.
    along = [(_mean(row[:count]) + _mean(row[count:])) / 2 for row in products]
    whole = (_mean(along[:count]) + _mean(along[count:])) / 2
    squares = [row[i] - 2 * along[i] + whole for i, row in enumerate(products)]
    scale = [1 / math.sqrt(each) if each > _NO_LENGTH else 0.0 for each in squares]
    others = list(zip(along[count:], scale[count:], strict=True))
    return [
        [
            (product - mine - yours + whole) * length * other
            for product, (yours, other) in zip(row[count:], others, strict=True)
        ]
        for row, mine, length in zip(products[:count], along, scale, strict=False)
    ]


def _left_over(ours: Reading, theirs: Reading, alignment: Alignment) -> list[float]:
    """The words that only one prompt has: how many, how they relate, how rare they are."""
    left_ours, left_theirs = alignment.left
    rows = alignment.relations
    columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in left_theirs]
    our_best, their_best = ([max(row, default=_UNRELATED) for row in side] for side in (rows, columns))
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
        best.count(_SYNONYM), best.count(_BROADER), best.count(_SIBLING),
        # The worst pairings count only where nothing better explains the word.
        max(sum(_OPPOSITE in row for row in side) for side in (rows, columns)),
        *unexplained, *things,
        sum(lemma in ours.names or lemma in theirs.names for lemma in lemmas),
        sum(not english().is_ordinary(lemma) for lemma in lemmas),
        *ranks, *_vectors_left(alignment),
    ]  # fmt: skip


def _side(left: list[str], best: list[Relation], count: int) -> tuple[float, ...]:
    """The features of one side: how many words are left over, the share of those that are not, how many nothing
    explains, how many of these are no verbs, and how rare the rarest is.
    """
    lexicon = english()
    unexplained = [lemma for lemma, relation in zip(left, best, strict=True) if relation < _BROADER]
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
    products, similarity = alignment.products, alignment.similarity
    count = len(similarity)
    centred = _centred(products, count)
    pair_low, pair_high, mean, centred_pair, one_sided_worst = 1.0, 1.0, 1.0, 1.0, 1.0
    if ours and theirs:
        pair_low, pair_high = _least_and_most(similarity, ours, theirs)
        centred_pair, _ = _least_and_most(centred, ours, theirs)
        beside = [count + j for j in theirs]
        lengths = _total(products, ours, ours) * _total(products, beside, beside)
        mean = _total(products, ours, beside) / max(1e-9, math.sqrt(lengths))
    elif ours and similarity[0]:
        one_sided_worst = min(max(similarity[i]) for i in ours)
    elif theirs and similarity:
        one_sided_worst = min(max(row[j] for row in similarity) for j in theirs)
    best = _best(centred)
    return [
        pair_low, pair_high, *sorted(map(min, best)), min(map(_mean, best)),
        centred_pair, mean, float(bool(ours) != bool(theirs)), one_sided_worst,
    ]  # fmt: skip


def _least_and_most(table: Table, rows: list[int], columns: list[int]) -> tuple[float, float]:
    """The least of the best matches of some words in either direction, and the most of those of the first prompt."""
    mine, yours = _best([list(map(table[i].__getitem__, columns)) for i in rows])
    return min(*mine, *yours), max(mine)


def _total(products: Table, rows: list[int], columns: list[int]) -> float:
    return sum(sum(map(products[i].__getitem__, columns)) for i in rows)


def _shape(ours: Reading, theirs: Reading, alignment: Alignment) -> list[float]:
    shared = len(ours.trigrams & theirs.trigrams)
    lengths = sorted((len(ours.low), len(theirs.low)))
    counts = sorted((len(ours.content), len(theirs.content)))
    our_frame, their_frame = _frame(ours), _frame(theirs)
    return [
        2 * shared / max(1, len(ours.trigrams) + len(theirs.trigrams)),
        float(lengths[0]), lengths[0] / max(1, lengths[1]), float(counts[0]), float(counts[1] - counts[0]),
        # What only a word said twice turns round is in order.
        min(map(_inversions, alignment.same)),
        len(our_frame & their_frame) / max(1, len(our_frame | their_frame)),
    ]  # fmt: skip


def _inversions(same: list[int]) -> float:
    """The share of pairs of words that stand in the other order in the other prompt, among those that both have."""
    places = [place for place in same if place >= 0]
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
    if ours.turns == theirs.turns:
        return False
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
    if ours.polarity == theirs.polarity:
        return 0.0, 0.0, 0.0
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
