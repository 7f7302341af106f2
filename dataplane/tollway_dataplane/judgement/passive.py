"""Who does it and to whom it is done, where one prompt says so in the active and the other in the passive: "Sam paid
Ana" is not "Sam was paid by Ana", but "Ana paid Sam" is. Of a verb that both have, who acts in one may not be whom it
is done to in the other. Where the form of the words does not tell who does what, nothing is said. Pure and symmetric
in what it decides; called by `judge` and `turn_pairs`.
"""

from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

from tollway_dataplane.prompts.function_words import (
    ACTED_ON,
    ACTING,
    ADVERBS,
    AUXILIARY,
    BEING,
    GETTING,
    LITTLE,
    OWNING,
    PERSONS,
    PRONOUNS,
    TO,
    WANTING,
    parted,
)
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once, once_of_two
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading
from tollway_dataplane.prompts.word_forms import alike

# Past forms and participles that do not end in "ed", by their verb. The lexicon does not have them all, and may not:
# what the judge has learned hangs on its lemmas.
VERB_OF: Final = {
    form: verb
    for verb, forms in (
        line.split("/")
        for line in (
            "beat/beaten bind/bound bite/bit,bitten blow/blew,blown break/broke,broken bring/brought build/built "
            "buy/bought catch/caught choose/chose,chosen draw/drew,drawn drive/drove,driven eat/ate,eaten feed/fed "
            "fight/fought find/found forbid/forbade,forbidden forget/forgot,forgotten forgive/forgave,forgiven "
            "give/gave,given grind/ground hear/heard hide/hid,hidden hold/held keep/kept know/knew,known lead/led "
            "leave/left lend/lent light/lit lose/lost make/made mean/meant meet/met overtake/overtook,overtaken "
            "pay/paid ring/rang,rung say/said see/saw,seen seek/sought sell/sold send/sent shake/shook,shaken "
            "shoot/shot show/shown sing/sang,sung speak/spoke,spoken spend/spent steal/stole,stolen sting/stung "
            "strike/struck,stricken swear/swore,sworn take/took,taken teach/taught tear/tore,torn tell/told "
            "think/thought throw/threw,thrown understand/understood wake/woke,woken wear/wore,worn win/won "
            "withdraw/withdrew,withdrawn write/wrote,written"
        ).split()
    )
    for form in forms.split(",")
}
UNCHANGED: Final = frozenset("beat burst cut hit hurt let put quit read set shut split spread".split())
# What happens of itself as well, or what one does to oneself: "the shop closed", "I got dressed".
_OF_ITSELF: Final = frozenset(
    "begin boil break burn change clear close complete cook decrease dress drop end expire finish freeze grow improve "
    "increase load lock marry melt move open pause process qualify register restart run settle shave shut split spread "
    "start stop sync turn update wash".split()
)
# Who may do a thing as well as have it done to them, also where it is not said what: "has my boss paid".
_PEOPLE: Final = frozenset(
    "bank boss brother boy buyer child client colleague company customer dad daughter doctor driver employee employer "
    "father friend girl guest husband kid landlord landlady lawyer man manager mother mum neighbor neighbour owner "
    "parent partner patient person police seller sister son student supplier teacher team tenant wife woman "
    "worker".split()
)
_HAVING: Final = frozenset("have has had having".split())
_BY: Final = "by"
_SIGNS: Final = BEING | GETTING | _HAVING | {_BY, "m", "re"}  # without one of these nothing is in the passive
_QUESTION_WORDS: Final = frozenset("how when where why what which who whom whose".split())
_RELATIVE: Final = frozenset("who that which".split())
_STANDING_ALONE: Final = frozenset("it who what which".split()) | {
    some + body for some in ("some", "any", "every", "no") for body in ("one", "body")
}
_ASKING: Final = frozenset("who whom what which".split())
_OPEN_WITHIN: Final = 3  # words between a verb and the preposition a question ends with: "borrow money from"
_JOINING: Final = frozenset("and or".split())
_BEFORE_ORDERS: Final = frozenset("and but or so then please just".split())
_DETERMINERS: Final = frozenset("a an the some any every each no".split()) | OWNING.keys()
# Behind a verb these say when, not whom: "the shop closes today".
_WHEN: Final = frozenset(
    "today tonight tomorrow yesterday early late soon again twice once online later".split()
)
_PREPOSITIONS: Final = TO | frozenset("up off out down over into onto of".split())
_NO_NAME: Final = LITTLE | AUXILIARY | PERSONS | _WHEN | _DETERMINERS | _STANDING_ALONE
_IT: Final = frozenset({"it"})
_JOINED_AS: Final = {"m": "is", "re": "is", "s": "is", "ve": "has", "d": "has", "ll": "will"}
_UNKNOWN: Final = "is or has"
_DOING: Final = frozenset("do does did don doesn didn".split())
# Before a verb these are who does it, and no other word's object as well.
_ALWAYS_ACTING: Final = frozenset({*ACTING.values()} - {"you"})
_LONGEST: Final = 4  # words that name who or what it is about
_BY_WITHIN: Final = 4  # words behind the verb
_ASKED_WITHIN: Final = 3  # words between a question word and "is": "how many times was Sam paid"
_MARKS: Final = frozenset(".,;:!?()\n")


class _Named(NamedTuple):
    """Who is meant, by pronouns and lemmas; nobody where it cannot be told."""

    head: str = ""
    words: frozenset[str] = frozenset()
    is_person: bool = False
    is_asked: bool = False  # who it is: "which team", "who"


_NOBODY: Final = _Named()
_ONE: Final = _Named("I", frozenset({"I"}), is_person=True)  # "how to pay" is how I pay


class _Use(NamedTuple):
    """One use of a verb in a prompt."""

    is_passive: bool
    subject: _Named
    beside: frozenset[str]  # by whom it is done in the passive; whom it is done to in the active


@once_of_two
def voices_differ(ours: Reading, theirs: Reading) -> str:
    """Who does it in one of two prompts that are alike, and in the other it is done to; "" for nobody."""
    if found := _asked_otherwise(ours, theirs):
        return f"who acts differs: {found[0]} ≠ who is asked for ({found[1]})"
    if found := _asked_otherwise(theirs, ours):
        return f"who acts differs: who is asked for ≠ {found[0]} ({found[1]})"
    verbs = _passives(ours).keys() ^ _passives(theirs).keys()
    if not verbs or not alike(ours, theirs):
        return ""
    for verb in sorted(verbs):
        is_ours = verb in _passives(ours)
        passive, active = (ours, theirs) if is_ours else (theirs, ours)
        done_to, done_by = _turned(verb, _passives(passive)[verb], _actives(active, verb))
        if who := done_to or done_by:
            # What our prompt says of them.
            is_done_to = bool(done_to) is is_ours
            said = f"done to {who}", f"done by {who}"
            return f"who acts differs: {' ≠ '.join(said if is_done_to else said[::-1])} ({verb})"
    return ""


def _turned(verb: str, passives: list[_Use], actives: list[_Use]) -> tuple[str, str]:
    """Who is acted on in the passive and acts in the active, and who acts in the passive and is acted on in the active.
    Both are "" where one of the sentences may be the other in other words.
    """
    pairs = list(product(passives, actives))
    if any(
        passive.subject.words & active.beside or passive.beside & active.subject.words
        for passive, active in pairs
    ):
        return "", ""
    for passive, active in pairs:
        if passive.subject.head == active.subject.head and _may_be_either(verb, passive.subject, active):
            return passive.subject.head, ""
        if done_by := passive.beside & active.beside:
            return "", ", ".join(sorted(done_by))
    return "", ""


def _may_be_either(verb: str, subject: _Named, active: _Use) -> bool:
    """Whether who does it is another than whom it is done to. What a thing is said to do may be done to it."""
    if active.beside and _IT.isdisjoint(active.beside):
        return bool(subject.head)
    return subject.is_person and verb not in _OF_ITSELF


def _asked_otherwise(ours: Reading, theirs: Reading) -> tuple[str, str] | None:
    """Who acts in ours, where theirs asks who does, and the verb: "who does Sam report to", "who reports to Sam"."""
    is_left_open = bool(ours.low) and ours.low[-1] in _PREPOSITIONS and not _ASKING.isdisjoint(ours.plain_set)
    if not is_left_open or _ASKING.isdisjoint(theirs.plain_set) or not alike(ours, theirs):
        return None
    sentence, asking = _Sentence(ours), _Sentence(theirs)
    for i in range(max(0, len(ours.low) - 1 - _OPEN_WITHIN), len(ours.low) - 1):
        who = use.subject.head if (use := sentence.use(i)) and not use.is_passive else ""
        verb = _verb(ours.low[i])
        for j, low in enumerate(theirs.low if who and english().is_verb(verb) else ()):
            if _verb(low) == verb and asking.asks_who(j) and who in asking.all_behind(j):
                return who, verb
    return None


@once
def _passives(reading: Reading) -> dict[str, list[_Use]]:
    """The verbs that are used in the passive, with their uses."""
    found: dict[str, list[_Use]] = {}
    if _SIGNS.isdisjoint(reading.plain_set):
        return found
    sentence = _Sentence(reading)
    for i, low in enumerate(reading.low):
        if _is_participle(low) and (use := sentence.use(i)) and use.is_passive:
            found.setdefault(_verb(low), []).append(use)
    return found


def _actives(reading: Reading, verb: str) -> list[_Use]:
    sentence = _Sentence(reading)
    uses = [sentence.use(i) for i, low in enumerate(reading.low) if _verb(low) == verb]
    return [use for use in uses if use and not use.is_passive]


@lru_cache(MOST_WORDS_KEPT)
def _verb(low: str) -> str:
    return VERB_OF.get(low) or english().lemma(low)


@lru_cache(MOST_WORDS_KEPT)
def _is_participle(low: str) -> bool:
    verb = english().lemma(low)
    is_regular = low.endswith("ed") and not low.endswith("eed") and verb != low and english().is_verb(verb)
    return is_regular or low in VERB_OF or low in UNCHANGED


@lru_cache(MOST_WORDS_KEPT)
def _is_adverb(low: str) -> bool:
    if low in ADVERBS:
        return True
    stems = (low[:-2], low[:-3] + "y", low[:-1] + "e")  # "badly", "easily", "possibly"
    return len(low) > 5 and low.endswith("ly") and any(map(english().is_ordinary, stems))


class _Sentence:
    """Finds who acts and is acted on around a verb."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._low, self._endings = parted(reading)

    def use(self, i: int) -> _Use | None:
        """None where the word is no verb, or cannot be told to be one."""
        low = self._low
        if low[i] in AUXILIARY or (i and low[i - 1] in _DETERMINERS):
            return None
        at, nearest, farthest = self._auxiliaries(i)
        if farthest == "to":
            subject = _ONE if at >= 0 and low[at] in _QUESTION_WORDS else _NOBODY
        else:
            subject, before = self._named_before(at)
            if not nearest and subject.head:
                nearest = self._joined(at, i) or self._turned_round(at, before, subject)
        is_participle = _is_participle(low[i])
        if is_participle and self._is_passive(i, nearest, subject):
            by = self._by(i)
            is_either = nearest in GETTING and _verb(low[i]) in _OF_ITSELF and not by  # "get started"
            return None if is_either else _Use(True, subject, by)
        if low[i].endswith("ing"):
            if "of" in low[i + 1 : i + 2]:
                return None
            subject = subject if nearest in BEING else _NOBODY
        elif not self._acts(i, nearest, subject, is_participle):
            return None
        return _Use(False, subject, self._named_behind(i))

    def _is_passive(self, i: int, nearest: str, subject: _Named) -> bool:
        if nearest in BEING or nearest in GETTING:
            # "My most used card."
            return nearest in GETTING or not self._is_named(i + 1) or self._is_marked(i)
        # "Emails sent by Sam", but "I paid by card".
        is_short = not nearest and bool(subject.head) and subject.head not in PRONOUNS
        return is_short and _BY in self._low[i + 1 : i + 2]

    def _acts(self, i: int, nearest: str, subject: _Named, is_participle: bool) -> bool:
        """Whether what may be a noun, or a participle beside one, is a verb in the active: "the rate applied"."""
        low = self._low
        if nearest:
            is_slip = nearest in _DOING and is_participle and low[i].endswith("ed")
            return not is_slip and nearest not in BEING and nearest not in GETTING and nearest != _UNKNOWN
        if (
            subject.head in _ALWAYS_ACTING
            or subject.head in _RELATIVE
            or (subject.is_asked and not is_participle)
        ):
            return True
        if i == 0 or self._is_marked(i - 1) or low[i - 1] in _BEFORE_ORDERS:
            return not low[i].endswith("ed")
        behind = low[i + 1] if i + 1 < len(low) and not self._is_marked(i) else ""
        is_name = bool(behind) and self._reading.shown[i + 1].istitle()
        return is_name or behind in _DETERMINERS or behind in ACTED_ON

    def _auxiliaries(self, i: int) -> tuple[int, str, str]:
        """The place before what stands between who acts and the verb, and the nearest and farthest word of that."""
        low = self._low
        j, nearest, farthest = i - 1, "", ""
        while j >= 0 and not self._is_marked(j):
            bare = low[j].removesuffix("n't")
            if not _is_adverb(low[j]):
                is_wanting = low[j] in WANTING and farthest == "to"
                if not (is_wanting or bare in AUXILIARY or low[j].endswith("n't")):
                    break
                nearest, farthest = nearest or bare, bare
            j -= 1
        return j, nearest, farthest

    def _joined(self, at: int, i: int) -> str:
        """The auxiliary that is joined to who acts: "I'm paid". "Sam's paid" may be either, but for who does it."""
        ending = self._endings.get(at, "")
        if ending == "s" and not self._low[i].endswith("ing"):
            return "is" if self._by(i) else _UNKNOWN
        return _JOINED_AS.get(ending, "")

    def _turned_round(self, at: int, before: int, subject: _Named) -> str:
        """The auxiliary that stands before who acts: "was Sam paid", "get Sam paid"; "" where there is none."""
        low = self._low
        if before < 0 or self._is_marked(before) or low[at] in _RELATIVE:
            return ""
        bare = low[before].removesuffix("n't")
        if bare in _HAVING and not ACTING.keys().isdisjoint(low[max(0, before - 2) : before]):
            return "get"  # "I had my car mended"
        around = low[max(0, before - _ASKED_WITHIN) : before]
        is_asked = before == 0 or self._is_marked(before - 1) or not _QUESTION_WORDS.isdisjoint(around)
        is_asked = is_asked or subject.head in PRONOUNS or subject.head in _STANDING_ALONE
        if bare in BEING or bare in _HAVING:
            return bare if is_asked else "get" if bare in _HAVING else ""
        return bare if bare in AUXILIARY else ""

    def _named_before(self, j: int) -> tuple[_Named, int]:
        """Whom the words up to this place name, and the place before them."""
        low = self._low
        if j < 0 or self._is_marked(j):
            return _NOBODY, j
        if low[j] in ACTING:
            return _Named(ACTING[low[j]], frozenset({ACTING[low[j]]}), is_person=True), j - 1
        if low[j] in _RELATIVE and j and self._is_named(j - 1) and not self._is_marked(j - 1):
            return self._named_before(j - 1)
        if low[j] in _STANDING_ALONE:
            is_asked = low[j] in _ASKING
            return _Named(low[j], frozenset({low[j]}), low[j] not in _IT, is_asked), j - 1
        k, found = j, set()
        while k >= 0 and j - k < _LONGEST and self._is_named(k) and not (k < j and self._is_marked(k)):
            if k == j or self._endings.get(k) != "s":
                found.add(self._lemma(k))
            k -= 1
        if not found:
            return _NOBODY, j
        named = _Named(self._lemma(j), frozenset(found), self._is_person(j))
        if k >= 0 and low[k] in _DETERMINERS and not self._is_marked(k):
            k -= 1
        if k > 0 and low[k] in {"of", *_JOINING} and not self._is_marked(k):
            further, before = self._named_before(k - 1)
            if further.head:
                return (further if low[k] == "of" else named), before
        is_asked = k >= 0 and low[k] in _ASKING and not self._is_marked(k)
        return named._replace(is_asked=is_asked), k

    def _is_person(self, i: int) -> bool:
        lemma, shown = self._lemma(i), self._reading.shown[i]
        return lemma in _PEOPLE or english().is_name(lemma) or (i > 0 and shown.istitle())

    def _named_behind(self, i: int) -> frozenset[str]:
        """Whom the words behind this place name."""
        low = self._low
        first = i + 1
        if first < len(low) and low[first] in _PREPOSITIONS and not self._is_marked(i):
            first += 1
        found: set[str] = set()
        for k in range(first, min(len(low), first + _LONGEST + 1)):
            if self._is_marked(k - 1):
                break
            if self._is_named(k):
                if self._endings.get(k) != "s" or k + 1 == len(low):
                    found.add(self._lemma(k))
            elif low[k] in ACTED_ON and not found and not (low[k] in OWNING and self._is_named(k + 1)):
                return frozenset({ACTED_ON[low[k]]})
            elif low[k] in _IT and not found:
                return _IT
            elif found or low[k] not in _DETERMINERS:
                break
        return frozenset(found)

    def asks_who(self, i: int) -> bool:
        """Whether it is asked who does it: "which team plays", and not "which play"."""
        at, nearest, _ = self._auxiliaries(i)
        is_noun = (
            at == i - 1 and at >= 0 and self._low[at] in _ASKING - {"who"} and self._low[i] == self._lemma(i)
        )
        is_passive = nearest in BEING or nearest in GETTING
        return not is_noun and not is_passive and self._named_before(at)[0].is_asked

    def all_behind(self, i: int) -> set[str]:
        low = self._low
        return {ACTED_ON.get(low[k]) or self._lemma(k) for k in range(i + 1, len(low))}

    def _by(self, i: int) -> frozenset[str]:
        for k in range(i + 1, min(len(self._low), i + 1 + _BY_WITHIN)):
            if self._is_marked(k - 1):
                break
            if self._low[k] == _BY:
                return self._named_behind(k)
        return frozenset()

    def _is_named(self, i: int) -> bool:
        low = self._low[i] if 0 <= i < len(self._low) else "it"
        return low not in _NO_NAME and not low.endswith("n't") and not _is_adverb(low)

    def _lemma(self, i: int) -> str:
        return english().lemma(self._low[i]) if i in self._endings else self._reading.lemmas[i]

    def _is_marked(self, i: int) -> bool:
        """Whether there is a mark behind this word that ends a clause."""
        spans = self._reading.spans
        if i < 0 or i + 1 >= len(spans):
            return True
        return not _MARKS.isdisjoint(self._reading.text[spans[i][1] : spans[i + 1][0]])
