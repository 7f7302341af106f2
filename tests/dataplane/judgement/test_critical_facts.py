"""Facts on which two prompts must agree, and how a difference is told."""

import pytest

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.critical_facts import conflict
from tollway_dataplane.prompts.reading import read

R = CacheReason

TRAPS = [
    ("Give me 3 recipes for pancakes", "Give me 5 recipes for pancakes", R.NUMBERS_DIFFER),
    ("Who led the country in 1995?", "Who led the country in 1996?", R.NUMBERS_DIFFER),
    ("Wake me at 6am", "Wake me at 6pm", R.NUMBERS_DIFFER),
    ("Is twenty euros enough for a tip?", "Is forty euros enough for a tip?", R.NUMBERS_DIFFER),
    ("Is 20 dollars enough for a tip?", "Is 20 euros enough for a tip?", R.NUMBERS_DIFFER),
    ("Rent a van for two weeks", "Rent a van for two days", R.NUMBERS_DIFFER),
    ("Are the banks open on Monday?", "Are the banks open on Saturday?", R.NUMBERS_DIFFER),
    ("Is it cold in March?", "Is it cold in July?", R.NUMBERS_DIFFER),
    ("Fill in form W8", "Fill in form W9", R.KEYWORDS_DIFFER),
    ('Translate "good morning" into Dutch', 'Translate "good night" into Dutch', R.KEYWORDS_DIFFER),
    ("How do I drive from Lyon to Nice?", "How do I drive from Nice to Lyon?", R.RELATIONS_DIFFER),
    ("Convert my CSV file to JSON", "Convert my JSON file to CSV", R.RELATIONS_DIFFER),
    (
        "Translate the letter from Dutch to Danish",
        "Translate the letter from Danish to Dutch",
        R.RELATIONS_DIFFER,
    ),
    ("Approve the leave request", "Deny the leave request", R.OPPOSITES),
    ("Turn on the sprinkler", "Turn off the sprinkler", R.OPPOSITES),
    ("Lock the garage door", "Unlock the garage door", R.OPPOSITES),
    ("Turn left at the bridge", "Turn right at the bridge", R.OPPOSITES),
    ("Is the tenant married?", "Is the tenant single?", R.OPPOSITES),
    ("Is the permit valid?", "Is the permit expired?", R.OPPOSITES),
    ("Book the evening tour", "Book the morning tour", R.OPPOSITES),
    ("Is the rate fixed?", "Is the rate variable?", R.OPPOSITES),
    ("Scale up the worker pool", "Scale down the worker pool", R.OPPOSITES),
    ("Keep the old branches", "Delete the old branches", R.OPPOSITES),
    ("Why is my soup too hot?", "Why is my soup too cold?", R.OPPOSITES),
    ("How do I encrypt the disk?", "How do I decrypt the disk?", R.OPPOSITES),
    ("What are the advantages of solar panels?", "What are the drawbacks of solar panels?", R.OPPOSITES),
    ("Which mushrooms are edible?", "Which mushrooms are not edible?", R.NEGATION_DIFFERS),
    ("Delete the draft", "Do not delete the draft", R.NEGATION_DIFFERS),
    ("Can I rent a boat with a licence?", "Can I rent a boat without a licence?", R.NEGATION_DIFFERS),
    ("List all rivers", "List all rivers except the longest", R.NEGATION_DIFFERS),
    ("Is there a discount for groups over ten?", "Is there a discount for groups under ten?", R.OPPOSITES),
    ("What was the first film of that director?", "What was the last film of that director?", R.OPPOSITES),
    ("Who founded Ikea?", "Who founded Lego?", R.KEYWORDS_DIFFER),
    ("What is the population of Norway?", "What is the population of Sweden?", R.KEYWORDS_DIFFER),
    ("how tall is the tower in pisa", "how tall is the tower in paris", R.KEYWORDS_DIFFER),
    ("Can dogs eat grapes?", "Can dogs eat grapes safely?", R.SCOPE_DIFFERS),
    ("How do I delete my account?", "How do I permanently delete my account?", R.SCOPE_DIFFERS),
    ("Cancel my order", "Cancel my last order", R.SCOPE_DIFFERS),
    ("Show the invoices", "Show only the invoices", R.SCOPE_DIFFERS),
    ("How tall is the tower?", "How tall is the tower in feet?", R.NUMBERS_DIFFER),
    ("When was the bridge built?", "Where was the bridge built?", R.KEYWORDS_DIFFER),
    ("Why did he resign?", "When did he resign?", R.KEYWORDS_DIFFER),
    ("Who leads in the US?", "Who leads us?", R.KEYWORDS_DIFFER),
    ("Count from 3 to 5", "Count from 5 to 3", R.NUMBERS_DIFFER),
    ("What happened on 2024-01-02?", "What happened on 2024-02-01?", R.NUMBERS_DIFFER),
    ("Is prednisone safe for dogs?", "Is prednisolone safe for dogs?", R.KEYWORDS_DIFFER),
    ("How do I earn a few thousand dollars?", "How do I earn a few hundred dollars?", R.NUMBERS_DIFFER),
    ("Is a hundred pounds enough?", "Is a thousand pounds enough?", R.NUMBERS_DIFFER),
    ("Who was George H. W. Bush?", "Who was George W. Bush?", R.KEYWORDS_DIFFER),
    ("Who was George H.W. Bush?", "who was george w bush", R.KEYWORDS_DIFFER),
    ("When was J.K. Rowling born?", "When was J. R. Rowling born?", R.KEYWORDS_DIFFER),
    ('What does "it" stand for?', "What does it stand for?", R.KEYWORDS_DIFFER),
    ("Can ibuprofen be taken with milk?", "Can omeprazole be taken with milk?", R.KEYWORDS_DIFFER),
    ("Wake me at 7 am", "Wake me at seven in the evening", R.NUMBERS_DIFFER),
    ("Wake me at 7 pm", "Wake me at seven in the morning", R.NUMBERS_DIFFER),
    ("Wake me at 7 am", "Wake me at seven", R.NUMBERS_DIFFER),
    ("How much is it?", "How much is it in rupees?", R.NUMBERS_DIFFER),
    ("Is 500 yen enough?", "Is 500 rupees enough?", R.NUMBERS_DIFFER),
    ("Who leads in the US?", "Who leads in Canada?", R.KEYWORDS_DIFFER),
    ("Hire a driver", "Fire a driver", R.OPPOSITES),
]


@pytest.mark.parametrize(("one", "other", "reason"), TRAPS, ids=lambda value: str(value)[:40])
def test_a_trap_is_refused_either_way_round(one: str, other: str, reason: CacheReason) -> None:
    for ours, theirs in ((one, other), (other, one)):
        found = conflict(read(ours), read(theirs))
        assert found is not None
        assert found.reason is reason, found


SAME = [
    ('What does a "pending payment" mean?', "What does a pending payment mean?"),
    ("Why was I charged at the ATM?", "Why was I charged for taking out cash?"),
    ("Start the most recent backup", "Start the latest backup"),
    ("I just lost my keys", "I lost my keys"),
    ("My parcel has not arrived yet", "The courier still owes me a delivery"),
    ("Give me 3 recipes for pancakes", "give me three pancake recipes, please"),
    ("Return it after 14 days", "Return it after two weeks"),
    ("Do not remove the banner", "Keep the banner"),
    ("How do I get to Porto?", "What is the way to Porto?"),
    ("Turn off the sprinkler", "Switch the sprinkler off"),
    ("What is the tallest tower in Brussels?", "Which tower in Brussels is the tallest?"),
    ("Is there parking at the harbour?", "Is there parkng at the harbour?"),
    ("Deny the leave request", "Reject the leave request"),
    ("I left my bag on the train", "My bag was left on the train"),
    ("Buy a dozen eggs", "Buy 12 eggs"),
    ("Who was George H.W. Bush?", "Who was George H. W. Bush?"),
    ("Who was George HW Bush?", "Who was George H. W. Bush?"),
    ("When was JRR Tolkien born?", "When was J. R. R. Tolkien born?"),
    ("when was john f kennedy born", "When was John F. Kennedy born?"),
    ("Is vitamin C. Good question, enough?", "Good question, is vitamin C enough?"),
    ("Wake me at 7 am", "Wake me at seven in the morning"),
    ("Is there a ferry at 8pm?", "Does a ferry leave at eight this evening?"),
    ("Is 2000 rupees enough for a phone?", "Is 2000 enough for a phone?"),
    ("What is the minimum wage in the US?", "What is the minimum wage in America?"),
    ("What benefits can one expect from a mentor?", "What are the benefits of engaging a mentor?"),
    ("Truncate the log files", "I need the log files truncating"),
    ("Which cans can be recycled?", "Which cans may go in for recycling?"),
    ("How was the demonetisation announced?", "How was the demonetization announced?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_wording_is_no_conflict(one: str, other: str) -> None:
    assert conflict(read(one), read(other)) is None
    assert conflict(read(other), read(one)) is None


def test_a_difference_is_told_in_one_line() -> None:
    found = conflict(read("Give me 3 recipes"), read("Give me 5 recipes"))
    assert found is not None
    assert found.explanation == "numbers differ: 3 ≠ 5"


def test_a_check_that_is_not_asked_for_is_not_made() -> None:
    one, other = read("Give me 3 recipes"), read("Give me 5 recipes")
    assert conflict(one, other, {CriticalCheck.NEGATION}) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A fox is not faster than a dog", "A fox is slower than a dog"),
        ("Should I not turn left?", "Should I turn right?"),
    ],
)
def test_a_negation_beside_an_opposite_makes_no_opposites(one: str, other: str) -> None:
    found = conflict(read(one), read(other), {CriticalCheck.NEGATION})
    assert found is None or found.reason is not CacheReason.OPPOSITES
