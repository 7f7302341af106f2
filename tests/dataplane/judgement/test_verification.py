"""May this answer serve that prompt? Both are encoded by the real encoder and judged by the judge that ships."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.dataplanes import Setup, compiled
from tests.views import ViewOf
from tollway_api.snapshot import Index
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.judge import shipped
from tollway_dataplane.judgement.verification import verify

GUIDE = Path(__file__).parents[3] / "docs" / "semantic-cache.md"


@pytest.fixture(scope="module")
def index() -> Index:
    return compiled(Setup("http://a/v1", "http://b/v1").objects()).indexes["default/answers"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset my password?"),
        ("What is the capital of France?", "Tell me the capital of France"),
        ("What's the capital of France?", "what is the capital of france"),
        ("Which country is largest?", "Which countries are largest?"),
        ("What does the café cost’s owner do?", "what does the café cost's owner do"),
        ("How to reset my password?", "How do I reset my password?"),
        ("HOW DO I RESET IT", "how do I reset it"),
        ("Do you like ❤️?", "Do you like ❤?"),
        ("How do I reset my password? 🙏", "How do I reset my password?"),
        ("Where are the terms & conditions?", "Where are the terms and conditions?"),
    ],
)
def test_other_wordings_of_one_question_pass(view: ViewOf, index: Index, one: str, other: str) -> None:
    assert verify(view(one), view(other), index, shipped()).serves
    assert verify(view(other), view(one), index, shipped()).serves


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("What is the price?", "What is the price of gold?", CacheReason.BELOW_THRESHOLD),
        ("How far is Paris from London?", "How far is London from Paris?", CacheReason.RELATIONS_DIFFER),
        ("Convert dollars to euros", "Convert euros to dollars", CacheReason.RELATIONS_DIFFER),
        ("Is it safe?", "Is it not safe?", CacheReason.NEGATION_DIFFERS),
        ("Is it safe?", "Isn't it safe?", CacheReason.NEGATION_DIFFERS),
        ("Food with nuts", "Food without nuts", CacheReason.RELATIONS_DIFFER),
        ("Everyone may enter", "Everyone except Bob may enter", CacheReason.NEGATION_DIFFERS),
        ("Give me 3 examples", "Give me 5 examples", CacheReason.NUMBERS_DIFFER),
        ("Give me three examples", "Give me five examples", CacheReason.NUMBERS_DIFFER),
        ("Convert 3 to 5", "Convert 5 to 3", CacheReason.NUMBERS_DIFFER),
        ("It costs $5", "It costs €5", CacheReason.NUMBERS_DIFFER),
        ("Released on 2024-01-02", "Released on 2024-02-01", CacheReason.NUMBERS_DIFFER),
        ("Meet on Monday", "Meet on Tuesday", CacheReason.NUMBERS_DIFFER),
        ("Python 3.11 changes", "Python 3.12 changes", CacheReason.NUMBERS_DIFFER),
        ("Approve the refund", "Deny the refund", CacheReason.OPPOSITES),
        ("Increase the volume", "Decrease the volume", CacheReason.OPPOSITES),
        ("Who founded Apple?", "Who founded Microsoft?", CacheReason.KEYWORDS_DIFFER),
        ("When was it built?", "Where was it built?", CacheReason.KEYWORDS_DIFFER),
        ("¿Cuál es el precio?", "¿Cuál es el precio del oro?", CacheReason.NOT_JUDGED),
        ("What is the price?", "What is the pricelist?", CacheReason.BELOW_THRESHOLD),
        ("Fly from Paris to London", "Fly to Paris from London", CacheReason.RELATIONS_DIFFER),
        ("Is aspirin safe with ibuprofen?", "Is aspirin safe or ibuprofen?", CacheReason.RELATIONS_DIFFER),
        ("Is it open and licensed?", "Is it open or licensed?", CacheReason.RELATIONS_DIFFER),
        ("Was it built by Romans?", "Was it built for Romans?", CacheReason.RELATIONS_DIFFER),
        ("Convert francs to kroner", "Convert francs from kroner", CacheReason.RELATIONS_DIFFER),
        ("Port it from C to C++", "Port it from C++ to C", CacheReason.RELATIONS_DIFFER),
        ("What is C?", "What is C#?", CacheReason.KEYWORDS_DIFFER),
        ("Who leads in the US?", "Who leads us?", CacheReason.KEYWORDS_DIFFER),
        ("Help me with IT", "Help me with it", CacheReason.KEYWORDS_DIFFER),
        ("Rate this: 👍", "Rate this: 👎", CacheReason.KEYWORDS_DIFFER),
        ("What is ∑?", "What is ∏?", CacheReason.KEYWORDS_DIFFER),
        ("मूल क्या है?", "मेल क्या है?", CacheReason.KEYWORDS_DIFFER),
        ("เสือคืออะไร", "เสื้อคืออะไร", CacheReason.KEYWORDS_DIFFER),
        ("What does ls -a do?", "What does ls -A do?", CacheReason.KEYWORDS_DIFFER),
        ("What does `tar -C` do?", "What does `tar -c` do?", CacheReason.KEYWORDS_DIFFER),
        ("What does chmod +X do?", "What does chmod +x do?", CacheReason.KEYWORDS_DIFFER),
        (r"What does \d match?", r"What does \D match?", CacheReason.KEYWORDS_DIFFER),
        ("How much is 5 MW?", "How much is 5 mW?", CacheReason.KEYWORDS_DIFFER),
        ("Where is .bashrc?", "Where is bashrc?", CacheReason.KEYWORDS_DIFFER),
        ("What does chmod +x do?", "What does chmod -x do?", CacheReason.KEYWORDS_DIFFER),
        ("What does a ** b do?", "What does a * b do?", CacheReason.KEYWORDS_DIFFER),
        ("Does [a-z] match?", "Does [^a-z] match?", CacheReason.KEYWORDS_DIFFER),
        ("Where do I put the key in?", "Where do I put the key on?", CacheReason.RELATIONS_DIFFER),
    ],
)
def test_prompts_that_differ_in_a_fact_never_share_an_answer(
    view: ViewOf, index: Index, one: str, other: str, reason: CacheReason
) -> None:
    assert verify(view(one), view(other), index, shipped()).reason is reason
    assert verify(view(other), view(one), index, shipped()).reason is reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the same words, arranged otherwise
        ("Is Python faster than Java?", "Is Java faster than Python?"),
        ("Can the employer fire the employee?", "Can the employee fire the employer?"),
        ("Copy the staging data over the production data", "Copy the production data over the staging data"),
        ("Replace spaces with commas", "Replace commas with spaces"),
        ("What causes inflation?", "What does inflation cause?"),
        ("Can I sue my landlord?", "Can my landlord sue me?"),
        ("Can a dog bite a cat?", "Can a cat bite a dog?"),
        ("Where do I buy a floor plan?", "Where do I buy a plan floor?"),
        ("How do I give blood?", "How do I get blood?"),
        ("What is 5! divided by 2?", "What is 5 divided by 2?"),
        ("Refund the buyer, not the seller", "Refund the seller, not the buyer"),
        ("Did I pay you?", "Did you pay me?"),
        ("What is my phone number?", "What is your phone number?"),
        ("Can employees work at home?", "Must employees work at home?"),
        # numbers that are no amounts
        ("What is new in Node 18.2.1?", "What is new in Node 18.3.4?"),
        ("Mix them at a ratio of 1:3", "Mix them at a ratio of 1:6"),
        ("Is 2.5ml of syrup safe for a child?", "Is 7.5ml of syrup safe for a child?"),
        ("What is ½ of ten?", "What is ¼ of ten?"),
        # marks that are more than punctuation
        ("What is 10-2?", "What is 10 2?"),
        ("What is (2+3)*4?", "What is 2+(3*4)?"),
        ("Split the string on ','", "Split the string on ';'"),
        ("Don't, stop the job", "Don't stop the job"),
        ("!", ";"),
        ("()", "[]"),
        # one word of many
        (
            "Decide whether the following review is positive, negative or neutral. Review: the soup was cold",
            "Decide whether the following review is positive, negative or neutral. Review: the soup was tasty",
        ),
        (
            "Decide whether the following review is positive or negative. Review: the soup was cold and the staff rude",
            "Decide whether the following review is positive or negative. Review: a lovely garden and quiet rooms",
        ),
        (
            "Summarize this message in one sentence: the plumber comes on foot and brings a new pipe for the kitchen",
            "Summarize this message in one sentence: our flight was late and the hotel gave away the double room",
        ),
        (
            "Deploy the service to the staging cluster, run the smoke tests and tell the channel about the result",
            "Deploy the service to the production cluster, run the smoke tests and tell the channel about the result",
        ),
    ],
)
def test_what_differs_in_little_is_not_served(view: ViewOf, index: Index, one: str, other: str) -> None:
    assert not verify(view(one), view(other), index, shipped()).serves
    assert not verify(view(other), view(one), index, shipped()).serves


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I change the language in the settings?", "In the settings, how do I change the language?"),
        ("What are the symptoms of flu?", "What are flu symptoms?"),
        ("Can I bring cats and dogs?", "Can I bring dogs and cats?"),
    ],
)
def test_another_order_that_means_the_same_is_served(
    view: ViewOf, index: Index, one: str, other: str
) -> None:
    assert verify(view(one), view(other), index, shipped()).serves


def test_numbers_amounts_and_dates_want_the_strict_threshold(view: ViewOf, index: Index) -> None:
    one, other = view("Move £50 to my savings"), view("Please transfer £50 into my savings")
    probability = shipped().probability(one, other)
    between = replace(index, threshold=probability - 0.01, strict_threshold=probability + 0.01)
    assert verify(one, other, between, shipped()).reason is CacheReason.BELOW_STRICT_THRESHOLD
    below = replace(index, threshold=probability + 0.005, strict_threshold=probability + 0.01)
    assert verify(one, other, below, shipped()).reason is CacheReason.BELOW_THRESHOLD
    above = replace(index, threshold=probability - 0.01, strict_threshold=probability - 0.005)
    assert verify(one, other, above, shipped()).serves


def test_a_check_that_the_index_leaves_out_is_not_made(view: ViewOf, index: Index) -> None:
    lenient = replace(index, checks=(), threshold=0.0, strict_threshold=0.0)
    assert verify(view("Approve it"), view("Deny it"), lenient, shipped()).serves


def test_the_guide_shows_what_becomes_of_its_pairs(view: ViewOf, index: Index) -> None:
    """Its table is made of what `tollway compare` says."""
    lines = [line.strip("|").split(" | ") for line in GUIDE.read_text(encoding="utf-8").splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 5]
    pairs = [row for row in rows if row[2].startswith("0.")]
    assert len(pairs) >= 9
    for one, other, cosine, reason, because in pairs:
        ours, theirs = view(one), view(other)
        verdict = verify(ours, theirs, index, shipped())
        assert (f"`{verdict.reason}`", verdict.explanation) == (reason, because)
        assert f"{float(ours.vector @ theirs.vector):.2f}" == cosine
