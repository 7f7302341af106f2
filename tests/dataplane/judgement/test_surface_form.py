"""Two texts of the same words: what is only looks, and what may be another prompt."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.views import ViewOf
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.judge import shipped
from tollway_dataplane.judgement.surface_form import are_same_words, written_otherwise
from tollway_dataplane.prompts.competence import is_english
from tollway_dataplane.prompts.reading import read

_QUESTIONS = (
    "How do I reset my password?",
    "Where is the nearest shop in Norway?",
    "Can I pay for Netflix with PayPal on Friday?",
    "What do I need, and how long does it take?",
    "Is the app free for my iPhone?",
    "I lost my card, how do I block it?",
)
_LOOKS: dict[str, Callable[[str], str]] = {
    "all small": str.lower,
    "all capital": str.upper,
    "title": lambda text: " ".join(word[:1].upper() + word[1:] for word in text.split()),
    "no end": lambda text: text.rstrip("?"),
    "another end": lambda text: text.rstrip("?") + "!!",
    "small, no end": lambda text: text.lower().rstrip("?"),
    "outer blanks": lambda text: f"  {text} \n",
    "small first letter": lambda text: text[0].lower() + text[1:],
}


@pytest.mark.parametrize("look", _LOOKS.values(), ids=_LOOKS)
@pytest.mark.parametrize("text", _QUESTIONS)
def test_a_question_is_the_same_however_carelessly_it_is_typed(
    view: ViewOf, text: str, look: Callable[[str], str]
) -> None:
    ours, theirs = view(text), view(look(text))
    assert shipped().verdict(ours, theirs).serves
    assert shipped().verdict(theirs, ours).serves


def _both_ways(one: str, other: str) -> list[str]:
    ours, theirs = read(one), read(other)
    assert are_same_words(ours, theirs)
    return [written_otherwise(ours, theirs), written_otherwise(theirs, ours)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes, please cancel it", "yes please cancel it"),
        ("Can I buy tea, and milk?", "Can I buy tea and milk?"),
        ("If it rains, who can I call?", "If it rains who can I call?"),
        ("It failed. Why?", "It failed, why?"),
        ("What is this ?", "What is this?"),
        ("Can I pay for 1990?", "Can I pay for 1990"),
        ("How Do I Reset My Netflix Password?", "How do I reset my Netflix password?"),
        ("How do I sign-up?", "how do I sign up"),
        ("Is my pay-as-you-go SIM non-refundable?", "Is my pay as you go SIM non refundable?"),
        ("What does “pending” mean?", "What does 'pending' mean?"),
        ("Who wrote “Emma”?", "Who wrote Emma?"),
        ("Where is my parents’ house?", "Where is my parents' house?"),
        ("I paid twice (on Friday)", "I paid twice, on Friday"),
        ("Can I move the 10 AM call?", "Can I move the 10 am call?"),
        ("Hi, quick one: how do I pay?", "hi, quick one: how do i pay"),
        ("Is there a café in São Paulo?", "Is there a cafe in Sao Paulo?"),
        ("What should I see in Zürich?", "What should I see in Zurich?"),
        ("How far is Málaga from Madrid?", "How far is Malaga from Madrid?"),
        ("How do I reach Customer Service?", "How do I reach customer service?"),
        ("Where are the Terms of Service?", "Where are the terms of service?"),
        ("Where is the Privacy Policy?", "Where is the privacy policy?"),
        ("What does a Product Manager do?", "What does a product manager do?"),
        ("What is a long-term loan?", "What is a long term loan?"),
        ("Is it a full-time contract?", "Is it a full time contract?"),
        ("Is this an open-source project?", "Is this an open source project?"),
    ],
)
def test_what_cannot_change_an_answer_says_nothing(one: str, other: str) -> None:
    assert _both_ways(one, other) == ["", ""]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Let's eat, Grandma", "Let's eat Grandma"),
        ("Does Anna like turkey?", "Does Anna like Turkey?"),
        ("Can Canada and Mexico help us?", "Can Canada and Mexico help US?"),
        ("What is nice in France?", "What is Nice in France?"),
        ("is ram good for a farm", "is RAM good for a farm"),
        ("how do i clean windows", "how do i clean Windows"),
        ("Do I like gas?", "Do I like Gas?"),
        ("how do i wash a new jersey", "how do i wash a New Jersey"),
        ("What does Schwüle mean?", "What does Schwule mean?"),
        ("How much is a rosé?", "How much is a rose?"),
        ("Calculate 5!", "Calculate 5"),
        ("What is n!?", "What is n?"),
        ("use vim :wq", "use vim :wq!"),
        ("how do I run ls ..", "how do I run ls ."),
        ("blood type A-", "blood type A"),
        ("He is anything, but safe", "He is anything but safe"),
        ("fish, and chips or peas", "fish and chips, or peas"),
        ("Nothing, thanks to you", "Nothing thanks to you"),
        ("Well, water tests?", "Well water tests?"),
        ("I know. How?", "I know how"),
        ("Woman, without her man, is nothing", "Woman, without her, man is nothing"),
        ("The panda eats, shoots and leaves", "The panda eats shoots and leaves"),
        ("Should I pay workers, who are late?", "Should I pay workers who are late?"),
        ("What is a man-eating chicken?", "What is a man eating chicken?"),
        ("Is a twenty-one day trip long?", "Is a twenty one-day trip long?"),
        ("Which polish is best?", "Which Polish is best?"),
        ("Where is Nice?", "Where is nice?"),
        ("How do I cook turkey?", "how do I cook Turkey?"),
        ("Can they help US?", "can they help us"),
        ("Is May nice there?", "is may nice there"),
        ("How do I push to origin Main?", "How do I push to origin main?"),
        ("How do I check out Foo?", "How do I check out foo?"),
        ("Is a mW much?", "Is a MW much?"),
        ('Replace "US" with "us"', 'Replace "us" with "US"'),
        ("What does schön mean?", "What does schon mean?"),
        ("What does año mean?", "What does ano mean?"),
        ("Say in French: Polish", "Say in French: polish"),
        ("Replace Aids with AIDS in the text", "Replace AIDS with Aids in the text"),
        ("Rename foo to Foo to FOO", "Rename foo to FOO to Foo"),
        ("Name a country, e.g. Turkey", "Name a country, e.g. turkey"),
        ("How do I get to the White House?", "How do I get to the white house?"),
        ("What does the Home Department do?", "What does the home department do?"),
        ("What are Great Expectations about?", "What are great expectations about?"),
        ("What does a small-business owner pay?", "What does a small business owner pay?"),
        ("Is this right: are you coming.", "Is this right: are you coming?"),
        ("Make this nicer:\nhello Sam", "Make this nicer:\nHello, Sam"),
    ],
)
def test_what_may_be_another_prompt_is_a_difference(one: str, other: str) -> None:
    assert all(_both_ways(one, other))


_MARKS = (
    '""',
    "“”",
    "„“",
    "«»",
    "»«",
    "\u2039\u203a",
    "''",
    "\u2018\u2019",
    "\u201a\u2018",
    "「」",
    "『』",
    "``",
)


@pytest.mark.parametrize("marks", _MARKS)
@pytest.mark.parametrize("frame", ["Replace {} with {}", "Is it {} or {}?", "say {}, not {}"])
@given(
    texts=st.lists(st.sampled_from(["us", "US", "a b", "A b", "a, b"]), min_size=2, max_size=2, unique=True)
)
def test_what_is_quoted_counts_to_the_letter_and_in_order(marks: str, frame: str, texts: list[str]) -> None:
    one, other = (text.join(marks) for text in texts)
    for mine, yours in (((one, other), (other, one)), ((one, one), (one, other))):
        ours, theirs = read(frame.format(*mine)), read(frame.format(*yours))
        if are_same_words(ours, theirs):
            assert written_otherwise(ours, theirs)


_CODE = (
    "git push origin main",
    "ls -r",
    "cat foo.txt",
    "npm install react",
    "echo hello",
    "print hello world",
    "cd downloads",
    "docker run foo",
    "grep -i error",
    "make test",
    "select name from users",
    "tar -c foo",
)


@pytest.mark.parametrize("line", _CODE)
@pytest.mark.parametrize("frame", ["{}", "What does {} do?", "Run {} again"])
def test_a_command_with_another_capital_is_another(view: ViewOf, line: str, frame: str) -> None:
    at = line.rfind(" ") + 1 if "-" not in line else line.index("-") + 1
    other = line[:at] + line[at].upper() + line[at + 1 :]
    ours, theirs = view(frame.format(line)), view(frame.format(other))
    assert not shipped().verdict(ours, theirs).serves
    assert not shipped().verdict(theirs, ours).serves


# Sentences that a sign, a capital or an accent makes another one, or none.
_OF_OTHERS = {
    "German": ("Wir essen, Oma", "Der Gefangene floh", "Lieber arm dran als Arm ab", "Mein Plan, Karl"),
    "Dutch": ("We eten, oma", "Hij zegt, zij komt", "Mijn kaart, meneer", "Wat een mooie fiets"),
    "French": ("Mangeons, grand-mère", "Le chef, dit Marie, arrive", "Question simple, merci", "Ou est mon frère"),
    "Spanish": ("Vamos a comer, niños", "No, espere", "Error de red, perdone", "Mi papá tiene 47 años"),
    "Italian": ("Mangiamo, nonna", "Grazia, impossibile giustiziare", "Chi era, Dante", "Pero maturo, signora"),
    "Portuguese": ("Vamos comer, gente", "Não, espere", "Vamos perder, nada", "O avô, disse ela"),
    "Swedish": ("Vi äter, mormor", "Min plan, Karl", "Han sa, att hon kom", "Får får får"),
    "Danish": ("Vi spiser, bedstemor", "Hun siger, han kommer", "Min hund, Karl", "Hvor er banken"),
    "Norwegian": ("Heng ham, ikke vent", "Vi spiser, bestemor", "Ring meg, Kari"),
    "Polish": ("Jemy, babciu", "Zrób mi, łaskę", "Adres banku, proszę", "Gdzie jest zamek"),
    "Czech": ("Propustit, nelze popravit", "Jíme, babi", "Kde je banka"),
    "Finnish": ("Syödään, mummo", "Uusi kortti, kiitos"),
    "Turkish": ("Oku baban gibi, eşek olma", "Yeni kart, lütfen"),
    "Hungarian": ("A királyt megölni nem kell, félnetek jó lesz", "Egyek, mama"),
}  # fmt: skip
_ALTERED: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace(",", ""),
    lambda text: text.replace(" ", ", ", 1),
    str.lower,
    str.title,
    lambda text: text.translate(str.maketrans("äöüåøæéèêáóãõñçłęąśżíúâô", "aouaoaeeeaoaoncleaszíuao")),
    lambda text: text + "?",
)


@pytest.mark.parametrize("text", [text for texts in _OF_OTHERS.values() for text in texts])
def test_in_another_language_however_short_the_text_only_the_very_same_is_served(
    view: ViewOf, text: str
) -> None:
    assert not is_english([read(text)])
    ours = view(text)
    assert shipped().verdict(ours, view(text)).serves
    for altered in {alter(text) for alter in _ALTERED} - {text}:
        theirs = view(altered)
        assert shipped().verdict(ours, theirs).probability == 0
        assert shipped().verdict(theirs, ours).probability == 0


def test_what_differs_is_said(view: ViewOf) -> None:
    verdict = shipped().verdict(view("Let's eat, Grandma"), view("Let's eat Grandma"))
    assert verdict.reason is CacheReason.KEYWORDS_DIFFER
    assert verdict.explanation == "written differently: eat, grandma ≠ eat grandma"
