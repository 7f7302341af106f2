"""Chats through the served data plane: the same question after turns that agree, and after others. On the real Redis
and the real model, as the official client sees it.
"""

from collections.abc import Awaitable, Callable, Mapping

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.servers import Provider
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis

CELLO = ("I rent a cello at 25 euros a month since March", "Noted, 25 euros a month.")
REWORDED = (
    "Hello! Since March I have been renting a cello for 25 euros per month",
    "Noted: 25 euros a month.",
)
PROMPT = "How much did I pay by the end of May?"


async def ask(gateway: Running, *said: str) -> tuple[str, Mapping[str, str]]:
    """The user and the assistant in turn; what came, and the headers."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(said)]
    raw = await gateway.acme.chat.completions.with_raw_response.create(model="auto", messages=messages)  # type: ignore[arg-type]  # the client knows roles as literals
    content = raw.parse().choices[0].message.content
    assert content is not None
    return content, raw.headers


async def test_a_question_after_turns_in_other_words_is_a_semantic_hit(
    gateway: Running, cheap: Provider
) -> None:
    answer, _ = await ask(gateway, *CELLO, PROMPT)
    await gateway.stored()
    again, headers = await ask(gateway, *REWORDED, PROMPT)
    assert (headers["x-tollway-source"], headers["x-tollway-cache-reason"]) == ("semantic", "Semantic")
    assert again == answer
    assert cheap.total == 1


async def test_the_very_same_chat_is_an_exact_hit(gateway: Running) -> None:
    await ask(gateway, *CELLO, PROMPT)
    _, headers = await ask(gateway, *CELLO, f" {PROMPT}")
    assert headers["x-tollway-cache-reason"] == "Exact"


@pytest.mark.parametrize(
    "earlier",
    [
        ("I rent a cello at 35 euros a month since March", "Noted, 35 euros a month."),
        ("I rent a violin at 25 euros a month since March", "Noted, 25 euros a month."),
        (*CELLO, "no, make it two cellos", "Two cellos, noted."),
    ],
    ids=["amount", "thing", "correction"],
)
async def test_a_question_after_other_turns_is_asked_anew_and_says_why(
    gateway: Running, cheap: Provider, earlier: tuple[str, ...]
) -> None:
    await ask(gateway, *CELLO, PROMPT)
    await gateway.stored()
    _, headers = await ask(gateway, *earlier, PROMPT)
    assert (headers["x-tollway-source"], headers["x-tollway-cache-reason"]) == ("live", "ConversationDiffers")
    assert headers["x-tollway-reuse-probability"] == "0.0000"
    assert await gateway.lookups("ConversationDiffers") == 1
    assert cheap.total == 2


async def test_a_greeting_more_is_no_other_question(gateway: Running) -> None:
    question = "What is a fjord?"
    await ask(gateway, question)
    await gateway.stored()
    _, headers = await ask(gateway, "Hi!", "Hello! How can I help?", question)
    assert headers["x-tollway-source"] == "semantic"


async def test_a_question_of_its_own_is_a_hit_after_any_turns(gateway: Running) -> None:
    question = "Which Mary wrote the novel Frankenstein?"
    await ask(gateway, "is there wifi here?", "Yes, free of charge.", question)
    await gateway.stored()
    _, headers = await ask(gateway, "does the cat need a basket?", "It does.", question)
    assert headers["x-tollway-source"] == "semantic"


async def test_a_question_of_its_own_is_a_hit_after_others_that_had_their_answers(gateway: Running) -> None:
    question = "What are the opening hours of Brookside Library at Easter?"
    told = ("I lost my card, what now?", "A new one costs 2 euros at the desk.", "ok will do", "Thanks.")
    await ask(gateway, *told, question)
    await gateway.stored()
    _, headers = await ask(gateway, "how many books may I take?", "Up to ten at a time.", question)
    assert headers["x-tollway-source"] == "semantic"
    _, headers = await ask(gateway, "our branch is the one in Leeds", "Noted.", question)
    assert headers["x-tollway-cache-reason"] == "ConversationDiffers"


FIRST = ("can you block my card?", "It is blocked. Where shall the new one go?")
LAST = ("to my home address", "It is on its way to your home address.", "how long does it take?")


async def test_a_side_question_in_the_middle_is_no_other_chat(gateway: Running) -> None:
    await ask(gateway, *FIRST, *LAST)
    await gateway.stored()
    aside = ("random question, do you still have that branch by the river?", "Yes, on weekdays.")
    _, headers = await ask(gateway, *FIRST, *aside, *LAST)
    assert headers["x-tollway-source"] == "semantic"
    deed = ("by the way, can you make it an express letter?", "Done, for 10 euros more.")
    _, headers = await ask(gateway, *FIRST, *deed, *LAST)
    assert headers["x-tollway-cache-reason"] == "ConversationDiffers"


async def test_a_yes_is_served_after_the_same_turns_alone(gateway: Running) -> None:
    await ask(gateway, "the printer in room seven is dead", "Shall I restart it?", "yes please")
    await gateway.stored()
    _, refused = await ask(gateway, "the printer in room seven is dead", "Shall I replace it?", "yes please")
    assert refused["x-tollway-cache-reason"] == "ConversationDiffers"
    greeting = ("good morning", "Good morning!")
    _, served = await ask(
        gateway, *greeting, "the printer in room seven is dead", "Shall I restart it?", "yes please"
    )
    assert served["x-tollway-source"] == "semantic"


async def test_the_chat_that_agrees_is_found_among_many_that_end_alike(gateway: Running) -> None:
    things = (
        "piano",
        "lamp",
        "sofa",
        "tent",
        "canoe",
        "drill",
        "stove",
        "robot",
        "globe",
        "clock",
        "scarf",
        "kite",
    )
    places = ("Oslo", "Rome", "Bern")
    asked = "what does it cost?"
    for i, thing in enumerate(f"{thing} in {place}" for place in places for thing in things):
        await ask(gateway, f"I saw a {thing} of yours", "A fine choice.", asked)
        await gateway.stored(i + 1)
    _, headers = await ask(gateway, "hello, I saw a canoe of yours in Rome", "A fine choice!", asked)
    assert headers["x-tollway-source"] == "semantic"
    _, headers = await ask(gateway, "hello, I saw a canoe of yours in Paris", "A fine choice!", asked)
    assert headers["x-tollway-cache-reason"] == "ConversationDiffers"


async def asked_after(
    gateway: Running, cache_redis: EmbeddedRedis, spoil: Callable[[Redis, bytes], Awaitable[int]]
) -> Mapping[str, str]:
    """The headers of a reply to a chat worded otherwise, after what is remembered of the first has been spoilt."""
    await ask(gateway, *CELLO, PROMPT)
    await gateway.stored()
    async with Redis.from_url(cache_redis.url) as redis:
        (document,) = [key async for key in redis.scan_iter("tollway:1:vector:*")]
        await spoil(redis, document)
    _, headers = await ask(gateway, *REWORDED, PROMPT)
    return headers


async def test_turns_that_nobody_can_read_are_a_miss(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    headers = await asked_after(
        await start(setup), cache_redis, lambda redis, key: redis.hset(key, wire.TURNS, "x")
    )
    assert (headers["x-tollway-source"], headers["x-tollway-cache-reason"]) == ("live", "NoNeighbour")


async def test_what_was_remembered_without_its_turns_is_a_miss(
    start: Start, setup: Setup, cache_redis: EmbeddedRedis
) -> None:
    headers = await asked_after(
        await start(setup), cache_redis, lambda redis, key: redis.hdel(key, wire.TURNS)
    )
    assert headers["x-tollway-source"] == "live"


@pytest.mark.parametrize("length", [800, 1_200], ids=["beside the loop", "not looked through"])
async def test_a_chat_too_long_to_compare_is_found_by_itself_alone(gateway: Running, length: int) -> None:
    told = ("the story goes on " * length, "I see.")
    await ask(gateway, *told, PROMPT)
    await gateway.stored()
    _, again = await ask(gateway, *told, PROMPT)
    _, other = await ask(gateway, "well, " + told[0], told[1], PROMPT)
    assert again["x-tollway-cache-reason"] == "Exact"
    assert other["x-tollway-cache-reason"] == "PromptTooLong"
