"""Is a text in another language than English? Many of its words may pass for English ones ("mode", "animal",
"activer"); those that join the others do not. Pure; called by `competence`.
"""

from functools import lru_cache
from typing import Final

from tollway_dataplane.core.everyday_words import FUNCTION, NEGATIONS
from tollway_dataplane.core.reading import MOST_WORDS_KEPT, Reading

# Words of a language that come up in any text of it, where English has no such word.
_OF_OTHERS: Final = frozenset(
    (
        # French
        "le la les des du au aux un une et est sont ou où que qui quoi quel quelle quels quelles je tu il "
        "elle nous vous ils elles mon tes notre votre leur ce cet cette ces dans sur avec sans chez pas puis "
        "peux peut suis fait faire pourquoi quand combien c'est qu'est j'ai est-ce l'heure d'un d'une parle "
        ""
        # German
        "der das dem ein eine einen einem einer und ist sind wie wo warum wer welche welcher welches ich mein "
        "meine meinen sie wir ihr nicht kein keine auf für von zu zum zur bei nach über aus kann können muss "
        "gibt heißt wann wieviel viel soll ich's ins auch sich wird werden haben habe "
        # Dutch
        "het een hoe wat waar waarom wanneer ik mijn jij wij zij niet geen voor naar bij uit zijn kan moet "
        "hoeveel welke dit deze ook wordt kunnen laat "
        # Spanish
        "el los las una unos unas es son qué cómo como dónde donde cuándo cuando cuánto cuanto cuántos cuál "
        "cual quién por para su puedo puede está están estoy ser más muy lo nos porque "
        # Portuguese
        "uma ao aos não nao é são onde quando quanto qual quais quem meu minha seu sua eu você posso pode tem "
        "em pela pelo isso fazer mais também "
        # Italian
        "gli di da della dello degli nel nella sul sulla è sono quale che cosa perché mio tuo suo io può più "
        "dei alla "
        # Swedish, Danish, Norwegian
        "jag är och det ett på av från hur vad varför vem när mitt mina inte för som jeg og ikke hvordan hvad "
        "hva hvor hvorfor hvem hvornår når fra skal "
        # Polish, Czech
        "jak gdzie kiedy dlaczego kto czy są nie się mój moje mogę można ile który która jaki jaka ja kde "
        "proč kdy kdo můj mohu kolik který "
        # Turkish, Finnish, Indonesian
        "nas\u0131l nedir nerede neden kaç m\u0131 bir için nasil kadar benim miten mikä missä miksi kuka milloin "
        "onko ei minun voinko bagaimana mana kapan mengapa siapa untuk saya dengan ini itu dari "
    ).split()
)
# Words that English has in common with one of them: they speak for neither.
_OF_BOTH: Final = frozenset(
    "a i in is me no of on or so to do we was as an at over her him for will hat den die man van men get were its and "
    "if has be by all am".split()
)
_PARTICLES: Final = frozenset("de da di du des del la le les el das von der van".split())  # in names
_ENGLISH: Final = 1
_FOREIGN: Final = -1
_ENGLISH_ENDINGS: Final = ("'s", "n't", "'re", "'m", "'ll", "'ve", "'d")
_FOREIGN_BEGINNINGS: Final = ("l'", "d'", "qu'", "j'", "c'", "n'", "s'")
_LONGEST_SYMBOL: Final = 2  # letters: "β", "°C"
_OF_ENGLISH: Final = (FUNCTION | NEGATIONS) - _OF_BOTH - _OF_OTHERS
# Names and phrases that English has taken over: the words of these count for nothing.
_BORROWED: Final = frozenset(
    tuple(each.split())
    for each in (
        "los angeles|los alamos|los gatos|las vegas|las palmas|la paz|la jolla|la liga|la nina|la niña|la la|"
        "el paso|el salvador|el nino|el niño|el dorado|le mans|le monde|le havre|des moines|de facto|de jure|"
        "du jour|du bois|au pair|au revoir|au gratin|au lait|au fait|a la|à la|la carte|la mode|coup d'état|"
        "ad hoc|per se|het up|c'est la|la vie|en route|en masse|der spiegel|das kapital|das auto|dos and|"
        "tai chi|chi square|tau ceti|il duce|je ne|ne sais|sais quoi|cul de|de sac|crème de|de la|femme fatale|"
        "que sera|que pasa|hasta la|la vista|mi casa|vis-à-vis|das boot|dolce vita|la dolce|et al|et cetera|"
        "ex nihilo|non profit|non stop|di caprio|da vinci|da nang|cirque du|du soleil|von der|van der|van de|"
        "de los"
    ).split("|")
)
_LOANWORDS: Final = frozenset(
    (
        "crème brûlée café cafés cliché clichés fiancé fiancée façade naïve résumé résumés décor déjà vu "
        "entrée entrées sauté sautéed purée soufflé pâté touché voilà jalapeño jalapeños piñata señor mañana "
        "doppelgänger über smörgåsbord açaí rosé protégé première matinée mêlée née exposé consommé flambé "
        "crêpe crêpes château rôle naïveté éclair éclairs gruyère béchamel frappé gruyere émigré passé risqué "
        "sébastien"
    ).split()
)


def is_foreign(reading: Reading) -> bool:
    """Whether the words that join the others are another language's rather than English ones, or there are none and
    letters are accented as in no English word. Names ("São Paulo", "Rio de Janeiro") tell nothing.
    """
    kinds = list(map(_kind, reading.low))
    if _FOREIGN not in kinds and reading.text.isascii():
        return False
    english, foreign = kinds.count(_ENGLISH), 0
    for i, kind in enumerate(kinds):
        if kind is _FOREIGN and not is_taken_over(reading, i):
            foreign += 1
        elif not kind and not reading.low[i].isascii() and not is_taken_over(reading, i):
            foreign += len(reading.low[i]) > _LONGEST_SYMBOL and reading.low[i].isalpha()
    return foreign > english


def is_taken_over(reading: Reading, i: int) -> bool:
    """Whether a word is of another language and not its text: in a name, or a phrase that English has taken over."""
    low, shown = reading.low, reading.shown
    if low[i] in _LOANWORDS or low[max(0, i - 1) : i + 1] in _BORROWED or low[i : i + 2] in _BORROWED:
        return True
    if not low[i].isascii() and shown[i][0].isupper() and low[i] not in _OF_OTHERS:
        return True
    if low[i] not in _OF_OTHERS:
        return False
    if len(shown[i]) > 1 and shown[i].isupper() and not reading.text.isupper():
        return True
    before, after = shown[max(0, i - 2) : i], shown[i + 1 : i + 3]
    begins = shown[i][0].isupper() or (low[i] in _PARTICLES and any(each[0].isupper() for each in before))
    return begins and any(each[0].isupper() for each in after)


@lru_cache(MOST_WORDS_KEPT)
def _kind(low: str) -> int:
    """Whether a word is one that joins others, of English or of another language."""
    if low in _OF_ENGLISH or low.endswith(_ENGLISH_ENDINGS):
        return _ENGLISH
    return _FOREIGN if low in _OF_OTHERS or low.startswith(_FOREIGN_BEGINNINGS) else 0
