"""Small talk and side questions, as the assistant witnesses them."""

import pytest

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_content import ChatContent
from tollway_dataplane.judgement.digressions import commits, has_something_done, is_detour, is_remark
from tollway_dataplane.prompts.reading import read

PLAIN = Turn("assistant", "Please unplug it for ten seconds, then plug it in again.")
MET = Turn("assistant", "Oh dear! Please unplug it for ten seconds, then plug it in again.")
KNOWN = ChatContent([read("my router has a red light"), read(PLAIN.text)])
PROMPT = read("will I get a text when it's fixed?")


def test_a_remark_met_with_a_remark_before_the_same_reply_is_small_talk() -> None:
    assert is_remark(read("glitter everywhere lol"), MET, KNOWN, [PLAIN])


@pytest.mark.parametrize(
    ("said", "reply", "others"),
    [
        ("glitter everywhere lol", PLAIN, [PLAIN]),
        ("glitter everywhere lol", Turn("assistant", "Oh dear! Then call us."), [PLAIN]),
        ("glitter everywhere lol", MET, []),
        ("glitter everywhere lol", None, [PLAIN]),
        ("it fell off the van", MET, [PLAIN]),
        ("another router burnt down", MET, [PLAIN]),
        ("eleven boxes of glitter", MET, [PLAIN]),
        ("my mother is deaf", MET, [PLAIN]),
        ("for my daughter", MET, [PLAIN]),
        ("I'm a student lol", MET, [PLAIN]),
        ("on Monday", MET, [PLAIN]),
    ],
    ids=[
        "not met",
        "met otherwise",
        "nothing to compare with",
        "no reply",
        "refers to it",
        "of the matter",
        "an amount",
        "how things are",
        "adds something",
        "what one is",
        "a date",
    ],
)
def test_what_may_bear_on_the_matter_is_no_small_talk(
    said: str, reply: Turn | None, others: list[Turn]
) -> None:
    assert not is_remark(read(said), reply, KNOWN, others)


def test_what_is_said_of_the_day_needs_no_witness() -> None:
    assert is_remark(read("hope you're having a good day"), None, KNOWN, [])


@pytest.mark.parametrize(
    "said",
    [
        "random question, do you still sell bread? | Yes, at the back.",
        "unrelated, but is the pool open again? | Since Monday. | my niece will love that | Great!",
    ],
)
def test_a_marked_side_question_is_a_detour(said: str) -> None:
    assert is_detour(_turns(said), [PROMPT])


@pytest.mark.parametrize(
    "said",
    [
        "do you still sell bread? | Yes, at the back.",
        "random thought, bread is dear these days | It is.",
        "by the way, can you add a phone? | Added.",
        "by the way, is there a faster line? | Yes. | let's take that | Fine.",
        "by the way, I've turned 65, is it cheaper? | It is.",
        "by the way, do you send a text for outages? | We do.",
        "random question, do you still sell bread?",
    ],
    ids=[
        "not marked",
        "no question",
        "a deed",
        "agreed to",
        "tells of oneself",
        "what the prompt asks",
        "no reply",
    ],
)
def test_what_may_change_something_is_no_detour(said: str) -> None:
    assert not is_detour(_turns(said), [PROMPT])


def test_a_side_question_about_whom_the_prompt_is_about_is_no_detour() -> None:
    asked = _turns("by the way, does asthma matter? he coughs | It can.")
    assert not is_detour(asked, [read("how much syrup does he get?")])
    assert is_detour(asked, [PROMPT])


@pytest.mark.parametrize("said", ["let's do that", "ok i'll take the blue one", "go for it", "yes please"])
def test_what_is_agreed_to_holds_from_then_on(said: str) -> None:
    assert commits(said)


@pytest.mark.parametrize("said", ["i'll have a look", "let's see", "do you take cards?"])
def test_what_is_only_considered_is_not_agreed_to(said: str) -> None:
    assert not commits(said)


def test_a_deed_is_asked_for_or_told_of() -> None:
    assert has_something_done(Turn("user", "great, can you add a child seat?"), None)
    assert has_something_done(Turn("user", "sure, why not"), Turn("assistant", "Changed to an estate."))
    assert not has_something_done(Turn("user", "can you tell me when?"), Turn("assistant", "At nine."))


def _turns(said: str) -> list[Turn]:
    return [Turn(("user", "assistant")[i % 2], text) for i, text in enumerate(said.split(" | "))]
