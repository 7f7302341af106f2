"""Is a text English, as far as the words that join its others tell? Many words of another language may pass for
English ones ("mode", "animal", "die Hand war warm"), and some of those that join them as well ("in", "die", "do"). So
each language is given all of its own, also those that it shares, and English must have more of a text's words than
any. Pure; called by `competence` and `surface_form`.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION, NEGATIONS
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading

# Of languages that are close to each other together.
_FRENCH: Final = "French"
_OTHERS: Final = {
    language: frozenset(words.split())
    for language, words in {
        _FRENCH: (
            "le la les l un une des de du au aux a à et ou où que qui quoi quel quelle quels quelles je tu il "
            "elle on nous vous ils elles me te se mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs "
            "ce cet cette ces ça c'est dans sur sous avec sans chez pas plus puis par pour en y est sont suis es "
            "êtes sommes était ai as avez avons ont fait faire peux peut puis-je dois doit va vais voir être "
            "avoir pourquoi quand comment combien dont si mais donc car ne ni non oui bonjour merci bien bon très "
            "aussi tout tous parle qu'est"
        ),
        "German": (
            "der die das dem den des ein eine einen einem einer eines und oder aber ist sind war waren bin bist "
            "seid wie wo warum wer wen wem was welche welcher welches wann ich du er sie es wir ihr mich mir dich "
            "dir uns euch ihm ihn ihnen mein meine meinen dein deine sein seine unser in im an am auf für von vom "
            "zu zum zur bei beim nach über unter aus mit ohne um bis durch kann kannst können muss müssen soll "
            "sollen will wollen wird werden hat haben habe hast nicht kein keine nur noch schon auch so sich man "
            "ja nein bitte danke guten als dass wenn weil denn also hier da ab gibt heißt viel wieviel alle alles "
            "ins"
        ),
        "Dutch": (
            "de het een en of maar is zijn was waren ben bent hoe wat waar waarom wanneer wie welke ik jij je hij "
            "zij ze wij we jullie mij mijn jouw uw ons onze hun haar in op aan van voor met naar bij uit over om "
            "tot door te kan kunnen moet moeten wil willen zal zullen wordt worden heeft heb hebben niet geen nog "
            "al ook er dit dat deze die als dan hier daar zo ja nee goede graag hoeveel laat man want even"
        ),
        "Spanish": (
            "el la los las lo un una unos unas de del al a y o u e que qué quien quién cual cuál como cómo donde "
            "dónde cuando cuándo cuanto cuánto cuántos por para porque con sin en es son soy eres fue está esta "
            "están estoy hay ser estar me te se nos mi mis tu tus su sus yo él ella ellos nosotros usted no sí si "
            "ni pero más muy puedo puede quiero ha he hace hacer este esto ese eso hola buenos buenas gracias "
            "todo todos ya tengo tiene vamos va"
        ),
        "Portuguese": (
            "o a os as um uma uns umas de do da dos das no na nos nas ao aos à em por pelo pela para com sem e ou "
            "mas que quem qual quais onde quando quanto como porque é são sou foi está estou ser ter tem tenho eu "
            "tu ele ela nós você eles me te se meu minha meus seu sua não sim já mais muito também isso isto este "
            "esta esse posso pode quero vai vou fazer bom boa dia obrigado olá"
        ),
        "Italian": (
            "il lo la i gli le un uno una di del della dello dei delle degli da dal dalla in nel nella a al alla "
            "ai su sul sulla con per tra fra e ed o ma che chi cosa quale quali come dove quando quanto perché è "
            "sono sei era ho ha hai hanno ci mi ti si vi lui lei noi voi loro mio mia miei tuo tua suo sua io tu "
            "non no sì più molto anche questo questa quello posso può voglio devo fare essere buon buona "
            "buongiorno ciao grazie"
        ),
        "Scandinavian": (
            "jag jeg du han hon hun vi ni de dem mig meg dig deg sig seg oss os er min mitt mit mina din ditt dit "
            "dina sin sitt sit hans hendes är var vara vær blir blev ska skal skall kan kunna vill vil har hade "
            "havde må och og men eller som att at det den der ett et en i på av af för for från fra till til ved "
            "med om ud ind hur hvor hvordan vad hvad hva varför hvorfor vem hvem när når hvornår vilken vilka "
            "hvilken inte ikke icke ingen god så nu här her där man allt alla mycket tack tak takk hej hei ja nei "
            "nej"
        ),
        "Polish or Czech": (
            "i a w we z ze na do od o u po za jak gdzie kiedy dlaczego kto co czy jest są był była być nie się "
            "tak to ta te mój moja moje moją twój jego jej nasz wy on ona oni ja mi mnie ci ile który która które "
            "jaki jaka mogę można może mam ma dla przez przy ale lub oraz że już dzień dobry proszę dziękuję ahoj "
            "je jsem jsi jsme jsou kde proč kdy kdo můj mou mohu lze nelze kolik nebo že ve při pro byl byla nový "
            "dobrý den"
        ),
        "Turkish": (
            "ve bir bu şu o ben sen biz siz mi m\u0131 mu mü ne nas\u0131l nedir nerede neden kaç kim için ile da "
            "de değil var yok daha çok gibi olma iptal benim merhaba saat on"
        ),
        "Finnish": (
            "ja on ei se en minä sinä hän me te he missä mikä mitä miten miksi kuka milloin onko voiko voinko "
            "minun sinun tämä että kun jos hei oli ole olen"
        ),
        "Romanian": (
            "și în la de cu pe din un o este sunt am ai are a nu ce cine unde când cum cât care mai pentru vreau "
            "meu mea cont nou buna ziua fost să"
        ),
        "Indonesian": (
            "di ke dari dan yang ini itu saya aku kamu anda dia mau bisa apa siapa mana kapan berapa bagaimana "
            "mengapa untuk dengan tidak ada akan sudah ayo jam"
        ),
        "Hungarian": (
            "a az egy és is nem van volt hol ki mi mit mikor miért hogyan hogy én te ez azt de ha meg most jó "
            "kell lesz"
        ),
    }.items()
}
_PARTICLES: Final = frozenset("de da di du des del la le les el das von der van".split())  # in names
_ENGLISH_ENDINGS: Final = ("'s", "n't", "'re", "'m", "'ll", "'ve", "'d")
_FRENCH_BEGINNINGS: Final = ("l'", "d'", "qu'", "j'", "c'", "n'", "s'")
# What says how a thing is asked, without greetings and what is no more than a verb or a noun.
_ENGLISH: Final = (
    FUNCTION
    | NEGATIONS
    | frozenset(
        "per via until till during upon since between among within through across against behind beyond although "
        "though anything everything something nothing each every both".split()
    )
) - frozenset(
    "hello hi hiya hey dear team folks cheers um uh er erm hmm ok okay oh info information process procedure question "
    "possible possibility kind sort find show".split()
)
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
LOANWORDS: Final = frozenset(
    (
        "crème brûlée café cafés cliché clichés fiancé fiancée façade naïve résumé résumés décor déjà vu "
        "entrée entrées sauté sautéed purée soufflé pâté touché voilà jalapeño jalapeños piñata señor mañana "
        "doppelgänger über smörgåsbord açaí rosé protégé première matinée mêlée née exposé consommé flambé "
        "crêpe crêpes château rôle naïveté éclair éclairs gruyère béchamel frappé gruyere émigré passé risqué "
        "sébastien"
    ).split()
)


@once
def english_ahead(reading: Reading) -> int:
    """By how many of the words that join its others English is ahead of every other language, at least; below 0 where
    one is ahead of English. Names ("São Paulo", "Rio de Janeiro") tell nothing where there is any English beside them.
    """
    english = sum(map(_joins_in_english, reading.low))
    spoken = list(map(_joins_in, reading.low))
    # Those that tell nothing only bring English further ahead.
    if (ahead := english - _most(spoken)) > 0:
        return ahead
    return english - _most(
        languages
        for i, languages in enumerate(spoken)
        if languages and not is_borrowed(reading, i) and not (english and _is_in_a_name(reading, i))
    )


def _most(spoken: Iterable[tuple[str, ...]]) -> int:
    """How many words the language has that has most of them."""
    return max(Counter(chain.from_iterable(spoken)).values(), default=0)


def is_borrowed(reading: Reading, i: int) -> bool:
    """Whether a word is of a phrase that English has taken over, or an acronym."""
    low, shown = reading.low, reading.shown[i]
    if low[max(0, i - 1) : i + 1] in _BORROWED or low[i : i + 2] in _BORROWED:
        return True
    return len(shown) > 1 and shown.isupper() and not reading.text.isupper()


def _is_in_a_name(reading: Reading, i: int) -> bool:
    shown = reading.shown
    before, after = shown[max(0, i - 2) : i], shown[i + 1 : i + 3]
    begins = shown[i][0].isupper() or (reading.low[i] in _PARTICLES and any(map(_is_capital, before)))
    return begins and any(map(_is_capital, after))


def _is_capital(shown: str) -> bool:
    return shown[0].isupper()


@lru_cache(MOST_WORDS_KEPT)
def _joins_in_english(low: str) -> bool:
    return low in _ENGLISH or low.endswith(_ENGLISH_ENDINGS)


@lru_cache(MOST_WORDS_KEPT)
def _joins_in(low: str) -> tuple[str, ...]:
    """The other languages that have it among the words that join the rest."""
    if low.startswith(_FRENCH_BEGINNINGS):
        return (_FRENCH,)
    return tuple(language for language, words in _OTHERS.items() if low in words)
