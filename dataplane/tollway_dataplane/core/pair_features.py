"""What the judge looks at in two prompts: how their words align, what is left over on either side, and on which
facts they differ. Pure and symmetric: swapping the two changes nothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tollway_dataplane.core.arrangement import exchanged, modes, persons_differ
from tollway_dataplane.core.framing import asked_otherwise
from tollway_dataplane.core.lexicon import Relation, english
from tollway_dataplane.core.likeness import is_misspelling
from tollway_dataplane.core.once import once_of_two
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

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the content words of two prompts stand to each other."""

    similarity: Matrix  # between word vectors, (ours, theirs)
    relations: list[list[Relation]]
    left: tuple[
        list[int], list[int]
    ]  # rows and columns of words that the other prompt has not, nor as a form


def align(ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors) -> Alignment:
    scale = np.float32(1 / (127 * 127))
    similarity = (our_vectors.astype(np.float32) @ their_vectors.astype(np.float32).T) * scale
    related = english().relations
    rights, others = [theirs.low[i] for i in theirs.content], [theirs.lemmas[i] for i in theirs.content]
    with_initial: dict[str, list[int]] = {}
    for j, right in enumerate(rights):
        with_initial.setdefault(right[0], []).append(j)
    relations: list[list[Relation]] = []
    for i in ours.content:
        row = list(map(related(ours.lemmas[i]).__getitem__, others))
        for j in with_initial.get(ours.low[i][0], ()):
            if is_misspelling(ours.low[i], rights[j]):
                row[j] = Relation.SAME
        relations.append(row)
    left_ours = [i for i, row in enumerate(relations) if Relation.SAME not in row]
    columns = zip(*relations, strict=True) if relations else [()] * len(others)
    left_theirs = [j for j, column in enumerate(columns) if Relation.SAME not in column]
    return Alignment(similarity, relations, (left_ours, left_theirs))


def features(
    ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors, cosine: float
) -> list[float]:
    """In the order of NAMES."""
    alignment = align(ours, theirs, our_vectors, their_vectors)
    return [
        cosine,
        *_closeness(alignment),
        *_left_over(ours, theirs, our_vectors, their_vectors, alignment),
        *_shape(ours, theirs, alignment),
        *_facts(ours, theirs),
    ]


def _closeness(alignment: Alignment) -> list[float]:
    """How well each content word is matched by the best of the other prompt, a same word counting in full."""
    similarity = alignment.similarity
    if not similarity.size:
        return [0.0] * 5 + [9.0] * 3
    best = [similarity.max(axis=1), similarity.max(axis=0)]
    for side, left in zip(best, alignment.left, strict=True):
        as_left = side[left]
        np.maximum(side, 0.5 + 0.5 * side, out=side)
        side[left] = as_left
    ordered = [np.sort(side) for side in best]
    worst = sorted(float(side[0]) for side in ordered)
    second = min(float(side[1]) if len(side) > 1 else 1.0 for side in ordered)
    means = sorted(float(_mean(side)) for side in ordered)
    every = np.concatenate(best)
    return [*worst, second, *means, *(float(np.count_nonzero(every < limit)) for limit in (0.5, 0.65, 0.8))]


def _mean(values: Matrix, axis: int | None = None) -> Matrix:
    """What `values.mean` gives, without what that does around it."""
    total: Matrix = np.add.reduce(values, axis=axis)
    return total / np.float32(values.size if axis is None else values.shape[axis])


def _centred(ours: WordVectors, theirs: WordVectors) -> Matrix:
    """Similarity of words with what all words of the two prompts share taken away: the encoder lets every word of a
    sentence take up much of the whole.
    """
    if not len(ours) or not len(theirs):
        return np.zeros((max(1, len(ours)), max(1, len(theirs))), dtype=np.float32)
    a, b = ours.astype(np.float32), theirs.astype(np.float32)
    middle = (_mean(a, 0) + _mean(b, 0)) / np.float32(2)
    a, b = a - middle, b - middle
    a /= np.maximum(np.sqrt((a * a).sum(axis=1, keepdims=True)), 1e-6)
    b /= np.maximum(np.sqrt((b * b).sum(axis=1, keepdims=True)), 1e-6)
    matrix: Matrix = a @ b.T
    return matrix


def _left_over(
    ours: Reading, theirs: Reading, our_vectors: WordVectors, their_vectors: WordVectors, alignment: Alignment
) -> list[float]:
    """The words that only one prompt has: how many, how they relate, how rare they are."""
    left_ours, left_theirs = alignment.left
    relations, similarity = alignment.relations, alignment.similarity
    our_best = [max((relations[i][j] for j in left_theirs), default=Relation.UNRELATED) for i in left_ours]
    their_best = [max((relations[i][j] for i in left_ours), default=Relation.UNRELATED) for j in left_theirs]
    # The worst pairings count only where nothing better explains the word.
    our_worst = [min((relations[i][j] for j in left_theirs), default=Relation.UNRELATED) for i in left_ours]
    both = [*our_best, *their_best]
    sizes = sorted((len(left_ours), len(left_theirs)))
    counts = sorted((len(ours.content), len(theirs.content)))
    shares = sorted(
        (1 - len(left_ours) / max(1, len(ours.content)), 1 - len(left_theirs) / max(1, len(theirs.content)))
    )
    unexplained = sorted(
        (sum(r < Relation.BROADER for r in our_best), sum(r < Relation.BROADER for r in their_best))
    )
    things = sorted(
        (
            _things([ours.lemmas[ours.content[i]] for i in left_ours], our_best),
            _things([theirs.lemmas[theirs.content[j]] for j in left_theirs], their_best),
        )
    )
    lemmas = [
        *(ours.lemmas[ours.content[i]] for i in left_ours),
        *(theirs.lemmas[theirs.content[j]] for j in left_theirs),
    ]
    names = ours.names | theirs.names
    lexicon = english()
    ranks = sorted(
        (
            max((lexicon.rank(ours.lemmas[ours.content[i]]) for i in left_ours), default=-1),
            max((lexicon.rank(theirs.lemmas[theirs.content[j]]) for j in left_theirs), default=-1),
        )
    )
    pair_low, pair_high, mean, centred_pair = 1.0, 1.0, 1.0, 1.0
    centred = _centred(our_vectors, their_vectors)
    our_centred, their_centred = centred.max(1), centred.max(0)
    one_sided_worst = 1.0
    if left_ours and left_theirs:
        block = similarity[left_ours][:, left_theirs]
        pair_low, pair_high = float(min(block.max(1).min(), block.max(0).min())), float(block.max())
        block = centred[left_ours][:, left_theirs]
        centred_pair = float(min(block.max(1).min(), block.max(0).min()))
        a, b = (
            our_vectors[left_ours].sum(0, dtype=np.float32),
            their_vectors[left_theirs].sum(0, dtype=np.float32),
        )
        mean = float(a @ b / max(1e-9, float(np.linalg.norm(a) * np.linalg.norm(b))))
    elif left_ours and similarity.shape[1]:
        one_sided_worst = float(similarity[left_ours].max(1).min())
    elif left_theirs and similarity.shape[0]:
        one_sided_worst = float(similarity[:, left_theirs].max(0).min())
    return [
        *map(float, sizes), (sizes[0] + sizes[1]) / max(1, sum(counts)), *shares,
        float(sum(r is Relation.SYNONYM for r in both)), float(sum(r is Relation.BROADER for r in both)),
        float(sum(r is Relation.SIBLING for r in both)), float(sum(r is Relation.OPPOSITE for r in our_worst)),
        *map(float, unexplained), *map(float, things),
        float(sum(lemma in names for lemma in lemmas)),
        float(sum(not lexicon.is_ordinary(lemma) for lemma in lemmas)),
        *map(float, ranks), pair_low, pair_high,
        *sorted((float(our_centred.min()), float(their_centred.min()))),
        min(float(_mean(our_centred)), float(_mean(their_centred))), centred_pair, mean,
        float(bool(left_ours) != bool(left_theirs)), one_sided_worst,
    ]  # fmt: skip


def _things(lemmas: list[str], best: list[Relation]) -> int:
    """How many words that nothing explains are no verbs."""
    is_verb = english().is_verb
    return sum(
        relation < Relation.BROADER and not is_verb(lemma)
        for lemma, relation in zip(lemmas, best, strict=True)
    )


def _shape(ours: Reading, theirs: Reading, alignment: Alignment) -> list[float]:
    shared = len(ours.trigrams & theirs.trigrams)
    lengths = sorted((len(ours.low), len(theirs.low)))
    counts = sorted((len(ours.content), len(theirs.content)))
    places = [row.index(Relation.SAME) for row in alignment.relations if Relation.SAME in row]
    pairs = len(places) * (len(places) - 1) / 2
    turned = sum(sum(map(a.__gt__, places[i + 1 :])) for i, a in enumerate(places))
    our_frame = set(ours.low) - {ours.low[i] for i in ours.content}
    their_frame = set(theirs.low) - {theirs.low[i] for i in theirs.content}
    return [
        2 * shared / max(1, len(ours.trigrams) + len(theirs.trigrams)),
        float(lengths[0]), lengths[0] / max(1, lengths[1]), float(counts[0]), float(counts[1] - counts[0]),
        turned / pairs if pairs else 0.0,
        len(our_frame & their_frame) / max(1, len(our_frame | their_frame)),
    ]  # fmt: skip


def _facts(ours: Reading, theirs: Reading) -> list[float]:
    our_numbers, their_numbers = ours.quantities, theirs.quantities
    numbers_differ = len(our_numbers) != len(their_numbers) or not all(
        any(one.agrees(other) for other in their_numbers) for one in our_numbers
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
    forms = {ours.lemmas[i]: ours.low[i] for i in ours.content}
    pairs = [(forms[theirs.lemmas[j]], theirs.low[j]) for j in theirs.content if theirs.lemmas[j] in forms]
    return sum(one != other and (one + "s" == other or other + "s" == one) for one, other in pairs)


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
