"""A chat that is cut down is still a chat."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_dataplane.core.context import reduce_context
from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.tokens import estimate

TEXT = st.text("abc ", max_size=60)


def said(role: str, text: str = "x") -> JsonObject:
    return {"role": role, "content": text}


def calling(*ids: str) -> JsonObject:
    calls: list[JsonObject] = [
        {"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def replying(call: str, text: str = "x") -> JsonObject:
    return {"role": "tool", "tool_call_id": call, "content": text}


@st.composite
def chats(draw: st.DrawFn) -> list[JsonObject]:
    """As a provider accepts them: begun by the user, and each call of a tool replied to."""
    chat: list[JsonObject] = [said("system", draw(TEXT)) for _ in range(draw(st.integers(0, 2)))]
    chat.append(said("user", draw(TEXT)))
    for number in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["user", "assistant", "tools", "developer"]))
        if kind == "tools":
            ids = [f"call-{number}-{n}" for n in range(draw(st.integers(1, 3)))]
            chat += [calling(*ids), *(replying(each, draw(TEXT)) for each in draw(st.permutations(ids)))]
        else:
            chat.append(said(kind, draw(TEXT)))
    return chat


def calls_of(message: JsonObject) -> list[str]:
    calls = message.get("tool_calls", ())
    assert isinstance(calls, list | tuple)
    return [each["id"] for each in calls]


def is_valid(chat: list[JsonObject]) -> bool:
    open_calls: set[object] = set()
    for message in chat:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return False
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            return False
        else:
            open_calls = set(calls_of(message))
    talk = [message for message in chat if message["role"] not in {"system", "developer"}]
    return not open_calls and talk[0]["role"] == "user"


def cut(chat: list[JsonObject], room: int) -> list[JsonObject]:
    return reduce_context(chat, list(map(estimate, chat)), room)


@given(chats(), st.integers(0, 400))
def test_a_chat_that_is_cut_down_is_valid_fits_and_has_the_newest(chat: list[JsonObject], room: int) -> None:
    found, least = cut(chat, room), cut(chat, 0)
    assert is_valid(found)
    places = [next(n for n, each in enumerate(chat) if each is message) for message in found]
    assert places == sorted(set(places)), "in the order in which it was said"
    always = [each for each in chat if each["role"] in {"system", "developer"}]
    assert [each for each in found if each["role"] in {"system", "developer"}] == always
    newest = next(n for n in reversed(range(len(chat))) if chat[n]["role"] not in {"system", "developer"})
    assert newest in places
    assert [each for each in chat if each["role"] == "user"][-1] in found, "what is asked"
    assert sum(map(estimate, found)) <= max(room, sum(map(estimate, least)))


@given(chats())
def test_a_chat_that_fits_is_left_as_it_is(chat: list[JsonObject]) -> None:
    assert cut(chat, sum(map(estimate, chat))) == chat


@given(chats(), st.integers(0, 400), st.integers(0, 400))
def test_with_more_room_no_less_stays(chat: list[JsonObject], less: int, more: int) -> None:
    less, more = sorted([less, more])
    kept = cut(chat, more)
    assert all(any(each is other for other in kept) for each in cut(chat, less))


def test_of_a_long_chain_of_tools_the_question_stays_and_the_latest_call() -> None:
    chain = [each for n in range(20) for each in (calling(f"c{n}"), replying(f"c{n}", "found " * 20))]
    question = said("user", "Which file is it?")
    chat = [said("system"), said("user", "Hello"), said("assistant", "Hello"), question, *chain]
    found = cut(chat, 150)
    assert found[:2] == [chat[0], question]
    assert found[2:] == chain[-len(found[2:]) :]
    assert is_valid(found)


@pytest.mark.parametrize(
    "orphan", [replying("nobody"), {"role": "function", "name": "nobody", "content": "x"}], ids=["new", "old"]
)
def test_a_reply_to_a_call_that_is_not_there_goes(orphan: JsonObject) -> None:
    assert cut([said("user"), said("assistant"), orphan, said("user", "y")], 1_000) == [
        *(said("user"), said("assistant"), said("user", "y"))
    ]


def test_the_older_form_of_a_call_stays_with_its_reply() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    reply = {"role": "function", "name": "f", "content": "x"}
    assert cut([said("user", "old " * 50), said("user"), call, reply], 60) == [said("user"), call, reply]
