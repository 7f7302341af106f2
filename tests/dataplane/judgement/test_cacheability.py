"""What is not worth remembering: answers that are others soon, that are none, or that are somebody's own."""

from dataclasses import replace
from typing import Final

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.routing_policy import TimeDependent
from tollway_api.semantic_cache_index import Scope
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import ChatRequest, Turn
from tollway_dataplane.core.refusals import is_refusal
from tollway_dataplane.judgement.cacheability import unfit_reason
from tollway_dataplane.judgement.identity import partition_of
from tollway_dataplane.prompts.personal_data import may_have_personal_data
from tollway_dataplane.prompts.transience import _LONGEST, _PIECE, is_time_dependent

SETUP = Setup("http://a/v1", "http://b/v1")


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the weather in Oslo?",
        "What's on TV tonight?",
        "What is the latest version of Python?",
        "Who is the current president of France?",
        "What is the price of gold?",
        "What is the exchange rate of the yen?",
        "What time is it?",
        "what's the time in Tokyo",
        "Which films came out this week?",
        "How old is the king of Norway?",
        "Summarise today's news",
        "Is the shop still open?",
        "Is the shop open now?",
        "When is the next train to Bergen?",
        "What\u2019s the time?",
        "Is it raining?",
        "Where is my order?",
        "Who is the president of Chile?",
        "Give me a random number",
        "Is it going to rain in Paris?",
        "Do I need an umbrella in London?",
        "What's the temperature?",
        "What is Tesla trading at?",
        "How is the market doing?",
        "How much is the iPhone 15?",
        "how much is the iphone 15",
        "How much does a Big Mac cost?",
        "price of eggs",
        "What's the iPhone 15 price?",
        "What is the price of the iPhone 15?",
        "what's the price for an iphone 15",
        "What’s the iPhone 15’s price?",
        "iPhone 15 price",
        "what is the ps5 price",
        "Can you tell me the Tesla Model 3 price?",
        "How much for an iPhone 15?",
        "What does the iPhone 15 go for?",
        "What is the cost of a Big Mac?",
        "How expensive is a Tesla Model 3?",
        "What's the euro worth in dollars?",
        "convert 100 usd to eur",
        "Is the store open?",
        "Is the train late?",
        "Is GitHub down?",
        "What's the score?",
        "Who leads the Premier League?",
        "When is the next election?",
        "What's on TV?",
        "Where's my order?",
        "Who's winning the race?",
        "How much are eggs?",
        "What does petrol cost?",
        "Roll a die",
        "What is the dollar to euro rate?",
    ],
)
def test_a_question_about_just_now_is_time_dependent(prompt: str) -> None:
    assert is_time_dependent(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "Will it be sunny in Oslo?",
        "Is it cold outside?",
        "Is it warm enough for shorts?",
        "Do I need a jacket in Paris?",
        "When will the rain stop?",
        "How humid is it in Lagos?",
        "Is a storm coming to Miami?",
        "How windy will it be in Chicago?",
        "Will the sun shine in Rome?",
        "Should I wear a coat?",
        "Is there snow in Zermatt?",
        "How deep is the snow in Aspen?",
        "What's the air quality in Delhi?",
        "How's the surf in Biarritz?",
        "What is it like outside?",
        "Could you give me the price of milk?",
        "How much does a litre of milk cost?",
        "How much is a kilo of rice?",
        "iPhone 15 price in India",
        "What is the price of bread in Norway?",
        "How much is a flight to Rome?",
        "How much does Netflix cost per month?",
        "Price per litre of diesel",
        "What would a new Macbook cost me?",
        "What's an ounce of gold worth?",
        "How much are eggs in Germany?",
        "How much is rent in Berlin?",
        "What is the average house price in London?",
        "Do you know what petrol costs?",
        "how much does an iphone cost",
        "How much is a barrel of oil?",
        "Tell me what a dozen eggs costs",
        "Is petrol cheaper in Spain?",
        "What's the cheapest phone with 5G?",
        "Who is president of France?",
        "Who is the CEO of Intel?",
        "Who's the world record holder in the marathon?",
        "Who holds the record for most Grand Slams?",
        "Who is the richest person in the world?",
        "Who runs Microsoft?",
        "Who is Germany's finance minister?",
        "Who is the governor of Texas?",
        "Who coaches Real Madrid?",
        "Which country is hosting the World Cup?",
        "Who is the reigning champion in Formula 1?",
        "Who is the head of the IMF?",
        "When will my parcel arrive?",
        "Has my order shipped?",
        "Is my flight delayed?",
        "When does my flight leave?",
        "What's the status of my refund?",
        "Where is my luggage?",
        "Track my package",
        "How much money do I have in my account?",
        "Is the M25 blocked?",
        "Are there delays on the Northern line?",
        "Did Arsenal win?",
        "What's the score in the Arsenal game?",
        "Is Tesla stock up?",
        "How many people live in India now?",
    ],
)
def test_weather_prices_offices_and_what_is_under_way_depend_on_time(prompt: str) -> None:
    assert is_time_dependent(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "How cold is Pluto?",
        "Who was the first president of France?",
        "What is price elasticity?",
        "What is the price of freedom in the novel?",
        "How is the price of an option calculated?",
        "What does it mean if it rains in a dream?",
        "Why does it rain more in Bergen than in Oslo?",
        "Who is the president in House of Cards?",
        "Who is the king in Hamlet?",
        "How do I track a parcel?",
        "How long does delivery take?",
        "When was the first flight across the Atlantic?",
        "What does a CEO do?",
        "How does a barometer forecast weather?",
        "What is the cost function in machine learning?",
        "How much does an elephant weigh?",
        "How much water is in a litre of milk?",
        "How hot is the Sun?",
        "Is Mercury hotter than Venus?",
        "What is the coldest place on Earth?",
        "Why is it cold in winter?",
        "What is an umbrella species?",
        "What is a snow leopard?",
        "Who elects the president of the United States?",
        "How is the prime minister chosen in the UK?",
        "How do I cancel my order?",
        "Where do I change my flight?",
        "How do I check in for my flight?",
        "Can I return my parcel?",
        "What is the cost of living index?",
        'What did Caesar mean by "the die is cast"?',
        "Who won the World Cup in 1998?",
        "Who was king of England in 1500?",
        "How do I write a status report for my boss?",
        "What jacket size is 42?",
        "Did the dinosaurs have feathers?",
        'What does "it costs an arm and a leg" mean?',
        "What is the role of the chancellor in Germany?",
        'How do I write "price" in Spanish?',
        "How do storms form?",
    ],
)
def test_what_only_speaks_of_weather_prices_and_offices_does_not(prompt: str) -> None:
    assert not is_time_dependent(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the price?",
        "How do I move money into my current account?",
        "What is the capital of France?",
        "How do I reset my password?",
        "What time does the museum open?",
        "What is a time series?",
        "How do I know whether a number is prime?",
        "What happened in 1989?",
        "What are breaking changes?",
        "What is an electric current?",
        "How do I measure network traffic?",
        "What is the price of shipping?",
        "What is the price of the basic plan?",
        "What's the Pro plan price?",
        "What is the price of the Premium subscription?",
        "What's the Enterprise tier price?",
        "What is the cost of Plan B?",
        "What is a fair price?",
        "What's the price elasticity of demand?",
        "What is the opportunity cost?",
        "How do I set the iPhone 15 price in my shop?",
        "How much does it cost?",
        "How much does delivery cost?",
        "How much is too much?",
        "How much is 15% of 80?",
        "How many pounds are in a kilo?",
        "How do I change dollars to euros?",
        "Is the museum open on Sundays?",
        "When are you open?",
        "How do I break this down?",
        "Is it too late?",
        "When is the next time I should change my tires?",
    ],
)
def test_a_question_whose_answer_stays_is_not(prompt: str) -> None:
    assert not is_time_dependent(prompt)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I can’t assist with that request.",
        "Sorry, I cannot provide medical advice.",
        "Unfortunately, I am unable to open links.",
        "I cannot assist with this.",
        "As an AI language model, I don't have access to live data.",
        "I don't have access to your account.",
        "I'm unable to browse the internet.",
        "I apologize, but I cannot fulfil this request.",
        "Unfortunately, I don't have access to that.",
        "I'm sorry, but that's not possible.",
    ],
)
def test_an_answer_that_declines_is_a_refusal(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The capital of France is Paris.",
        "You cannot divide by zero.",
        "I can help with that: open Settings.",
        "Sorry is a word of apology.",
        "I'm sorry you can't log in. Reset your password first.",
        "To say no politely, write: “I'm sorry, but I can't come.”",
        "Unfortunately, the museum closes at five.",
    ],
)
def test_an_answer_that_only_speaks_of_it_is_not(answer: str) -> None:
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    ("prompt", "personal"),
    [
        ("Write to anna.berg@example.com that I am late", True),
        ("Call +44 20 7946 0958 for me", True),
        ("Is 4111 1111 1111 1111 a valid card?", True),
        ("Check the IBAN GB82 WEST 1234 5698 7654 32", True),
        ("My name is Anna, write me a poem", True),
        ("I live at 5 Elm Street; what is near?", True),
        ("My name's Bob", True),
        ("My account number is 12345678", True),
        ("What happened on 2024-01-02?", False),
        ("What is 1,000,000 divided by 3?", False),
        ("How do I reset my password?", False),
        ("Compare 1989 1990 1991", True),  # has the form of a number to dial: a miss, no more
    ],
)
def test_what_has_the_form_of_personal_data_is_seen(prompt: str, *, personal: bool) -> None:
    assert may_have_personal_data(prompt) is personal


def test_what_is_too_long_to_look_through_may_have_personal_data() -> None:
    assert may_have_personal_data("lighthouses " * 5_000)
    assert not may_have_personal_data("lighthouses " * 4_000)


@pytest.mark.parametrize("text", ["1", "a.", "a+", "a@", "(1)"])
def test_no_prompt_takes_long_to_look_through(text: str) -> None:
    """A pattern that goes back over what it has read takes half a minute for each of these."""
    assert not may_have_personal_data((text * 50_000)[:50_000])


def test_the_policy_decides_about_time_and_the_index_about_people() -> None:
    snapshot = compiled(SETUP.objects())
    policy, (index,) = snapshot.policies[0], snapshot.indexes.values()
    shared = replace(index, scope=Scope.SHARED)
    assert policy.cache is not None
    caching = replace(policy.cache, time_dependent=TimeDependent.CACHE)
    weather, anna = "What is the weather in Oslo?", "My name is Anna, write me a poem"
    assert unfit_reason(weather, policy.cache, index) is CacheReason.TIME_DEPENDENT
    assert unfit_reason(weather, caching, index) is None
    assert unfit_reason(anna, policy.cache, index) is None
    assert unfit_reason(anna, policy.cache, shared) is CacheReason.PERSONAL_DATA
    told = [Turn("user", "My name is Anna")]
    assert unfit_reason("Write me a poem", policy.cache, shared, told) is CacheReason.PERSONAL_DATA
    assert unfit_reason("Write me a poem", policy.cache, index, told) is None
    # What was remembered while it might be is not given when it must not.
    request = ChatRequest("r", "auto", [{"role": "user", "content": weather}], prompt=weather)
    tenant = snapshot.tenants["acme"]  # type: ignore[index]  # a name is a name
    before, after = replace(policy, cache=caching), policy
    assert partition_of(request, tenant, before, index, ()) != partition_of(request, tenant, after, index, ())


def said(*texts: str) -> list[Turn]:
    return [turn for text in texts for turn in (Turn("user", text), Turn("assistant", "Certainly."))]


@pytest.mark.parametrize(
    ("turns", "prompt", "depends"),
    [
        (said("What's the weather in Paris?"), "And in London?", True),
        (said("What time is it?", "In Tokyo", "Thanks!"), "and Rome", True),
        (said("Will it rain?"), "Paris", True),
        (said("What is the price of gold?"), "What about silver?", True),
        (said("What's the weather in Paris?"), "How do I bake bread?", False),
        (said("What's the weather in Paris?", "How do I bake bread?"), "And rolls?", False),
        (said("Where is the Louvre?"), "And the Prado?", False),
        (said("What's the weather in Oslo?"), "Is it the same in Bergen?", True),
        (said("What's the weather in Oslo?"), "Could you tell me for Bergen?", True),
        (said("Tell me the weather in Oslo"), "And in Ohio?", True),
        (said("I'd like to know the price of gold"), "What about silver?", True),
        (said("What's the weather in Oslo?"), "What about tomorrow's?", True),
        (said("What's the weather in Oslo?", "Is it the same in Bergen?"), "Could you check Rome?", True),
        (said("What's the weather in Oslo?"), "In Bergen, please.", True),
        (said("What's the weather in Oslo?"), "Yes please", True),
        (said("What's the weather in Oslo?"), "Is Bergen warmer?", True),
        (said("What's the weather in Oslo?"), "How do I reset my password?", False),
        (said("What's the weather in Oslo?"), "Who is Einstein?", False),
        (said("What's the weather in Oslo?"), "Explain photosynthesis", False),
        (said("Where is the Louvre?"), "Could you tell me for the Prado?", False),
        (said("What's the weather in Oslo?"), "Is Rome hot?", True),
        (said("What's the weather in Oslo?"), "What is Bergen like?", True),
        (said("What's the bitcoin price?"), "Is ether higher?", True),
        (said("What's the price of gold?"), "Did silver rise as well?", True),
        (said("Is it raining in Oslo?"), "What about the coast?", True),
        (said("What's the weather in Oslo?"), "Is Madrid sunny?", True),
        (said("What's the weather like in Oslo?"), "How is it looking in Rome?", True),
        (said("Who is the CEO of Intel?"), "Who runs AMD?", True),
        (said("What's the bitcoin price?"), "Has ether gone up?", True),
        (said("What's the price of gold?"), "Is platinum dearer?", True),
        (said("What's the weather in Oslo?"), "Would Lisbon be nicer?", True),
        (said("How much are eggs?"), "Does milk cost less?", True),
        (said("What's the weather in Oslo?"), "What is bread like in Norway?", False),
        (said("What's the bitcoin price?"), "How does mining work?", False),
        (said("What's the weather in Oslo?"), "What causes fog?", False),
        (said("What's the price of gold?"), "Is gold a metal?", False),
        (said("What's the price of gold?"), "What is an alloy?", False),
        (said("Who is the CEO of Intel?"), "What is a microprocessor?", False),
        (said("What's the weather in Oslo?"), "Is Venus a planet?", False),
        (said("What's the weather in Oslo?"), "What is the Lusiads about?", False),
        (said("My subscription renews tomorrow"), "The yearly one", False),
        (said("My flight leaves tomorrow", "Do you want me there early?"), "Yes please", False),
    ],
)
def test_what_only_puts_something_else_into_a_question_depends_on_time_as_that_does(
    turns: list[Turn], prompt: str, *, depends: bool
) -> None:
    snapshot = compiled(SETUP.objects())
    policy, (index,) = snapshot.policies[0], snapshot.indexes.values()
    assert policy.cache is not None
    found = unfit_reason(prompt, policy.cache, index, turns)
    assert found == (CacheReason.TIME_DEPENDENT if depends else None)


# Of words that hint at now, in sentences that do not ask for it.
_LONG: Final = (
    "The new order of the day is much like the last one, as far as its cost and its score go. " * 400
)


@pytest.mark.parametrize(
    "question", ["Is it raining in Oslo?", "What's the price of gold?", "Who holds the record?"]
)
def test_a_question_about_just_now_is_found_wherever_it_stands_in_a_long_prompt(question: str) -> None:
    """Long prompts are looked through in pieces, and a question may be in two of them."""
    assert not is_time_dependent(_LONG)
    for at in (0, 30_000, len(_LONG), *range(_PIECE - 30, _PIECE + _LONGEST + 2, 11)):
        assert is_time_dependent(f"{_LONG[:at]} {question} {_LONG[at:]}"), at


@pytest.mark.parametrize("question", [", is the shop open", ". Did Chelsea win", " what time is it"])
def test_what_is_asked_at_the_end_is_asked_at_the_end_of_all(question: str) -> None:
    """The end of a piece is none."""
    for end in range(_PIECE + _LONGEST - 3, _PIECE + _LONGEST + 3):
        before = _LONG[: end - len(question)]
        assert is_time_dependent(before + question), end
        assert not is_time_dependent(before + question + " " + _LONG), end


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the weather today?",
        "WHAT'S THE WEATHER—TODAY?",
        "weather\ttoday, in Zürich…",
        "Wie heißt \ud800? What is the weather today?",
    ],
)
def test_a_word_that_hints_at_now_is_seen_between_whatever_signs(prompt: str) -> None:
    assert is_time_dependent(prompt)
    assert not is_time_dependent(prompt.lower().replace("today", "xtodayx").replace("weather", "weatherx"))


@pytest.mark.parametrize(
    ("prompt", "depends"),
    [
        (f"What is the weather in Oslo today? {'A long report. ' * 6_000}", True),
        (f"{'A long report. ' * 6_000} What is the weather in Oslo today?", True),
        (
            f"{'A long report. ' * 6_000} What is the weather in Oslo today? {'A long report. ' * 6_000}",
            False,
        ),
    ],
    ids=["before", "behind", "within"],
)
def test_of_a_very_long_prompt_its_two_ends_are_read(prompt: str, *, depends: bool) -> None:
    assert is_time_dependent(prompt) is depends
