"""What divides the cache, and what must not."""

from dataclasses import replace
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from tests.dataplanes import Setup, compiled
from tollway_api.snapshot import Index
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Turn
from tollway_dataplane.judgement.identity import (
    IRRELEVANT_PARAMETERS,
    MOST_LOOKED_THROUGH,
    entry_of,
    normalise,
    partition_of,
    said_in,
    turns_of,
)

SETUP = Setup("http://a/v1", "http://b/v1")
SNAPSHOT = compiled(SETUP.objects())
POLICY = SNAPSHOT.policies[0]
(INDEX,) = SNAPSHOT.indexes.values()
(SHARED,) = compiled(SETUP.but(index={"scope": "Shared"}).objects()).indexes.values()
ACME, BETA = (SNAPSHOT.tenants[name] for name in sorted(SNAPSHOT.tenants))
USER = {"role": "user", "content": "What is a fjord?"}
REQUEST = ChatRequest("r", "auto", [{"role": "system", "content": "Be brief."}, USER])


def partition(request: ChatRequest) -> str:
    return partition_of(request, ACME, POLICY, INDEX, turns_of(request.messages))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(REQUEST, model="rich"), id="another model"),
        pytest.param(replace(REQUEST, messages=[USER]), id="no system prompt"),
        pytest.param(
            replace(REQUEST, messages=[{"role": "system", "content": "Be brief!"}, USER]), id="system prompt"
        ),
        pytest.param(replace(REQUEST, messages=[*REQUEST.messages, USER]), id="an earlier turn"),
        pytest.param(
            replace(REQUEST, messages=[REQUEST.messages[0], {**USER, "name": "Bob"}]), id="a person's name"
        ),
        pytest.param(replace(REQUEST, parameters={"temperature": 0.2}), id="temperature"),
        pytest.param(replace(REQUEST, parameters={"response_format": {"type": "json_object"}}), id="format"),
        pytest.param(replace(REQUEST, parameters={"max_tokens": 5}), id="length"),
        pytest.param(replace(REQUEST, parameters={"of_a_provider_to_come": 1}), id="an unknown parameter"),
    ],
)
def test_what_changes_the_right_answer_divides_the_cache(other: ChatRequest) -> None:
    assert partition(other) != partition(REQUEST)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(REQUEST, request_id="s"), id="request id"),
        pytest.param(replace(REQUEST, stream=True, include_usage=True), id="a stream"),
        pytest.param(replace(REQUEST, headers={"x-any": "1"}), id="a header"),
        pytest.param(replace(REQUEST, parameters={"user": "u-1", "metadata": {"a": "b"}}), id="who asks"),
        pytest.param(
            replace(REQUEST, messages=[REQUEST.messages[0], {"role": "user", "content": "Other?"}]),
            id="the prompt itself",
        ),
    ],
)
def test_what_cannot_change_it_does_not(other: ChatRequest) -> None:
    assert partition(other) == partition(REQUEST)


LYON: JsonObject = {"role": "user", "content": "I live in Lyon."}
NICE: JsonObject = {"role": "user", "content": "I live in Nice."}
REPLY: JsonObject = {"role": "assistant", "content": "Lovely."}


def after(*earlier: JsonObject) -> ChatRequest:
    return replace(REQUEST, messages=[REQUEST.messages[0], *earlier, USER])


def test_earlier_turns_divide_a_partition_into_entries() -> None:
    one, other = after(LYON, REPLY), after(NICE, REPLY)
    assert partition(one) == partition(other) != partition(REQUEST)
    assert turns_of(one.messages) == (Turn("user", "I live in Lyon."), Turn("assistant", "Lovely."))
    assert entry_of("Q", turns_of(one.messages)) != entry_of("Q", turns_of(other.messages)) != entry_of("Q")


def test_a_question_after_a_greeting_is_of_the_partition_of_one_without() -> None:
    greeted = after(
        {"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello! How can I help?"}
    )
    assert partition(greeted) == partition(REQUEST)
    assert entry_of("Q", turns_of(greeted.messages)) != entry_of("Q")


@pytest.mark.parametrize(
    "instruction",
    [{"role": "system", "content": "Be long."}, {"role": "developer", "content": "Be brief."}],
    ids=["another", "of another role"],
)
def test_what_instructs_divides_the_cache_in_a_chat_too(instruction: JsonObject) -> None:
    messages = [instruction, LYON, REPLY, USER]
    assert partition(replace(REQUEST, messages=messages)) != partition(after(LYON, REPLY))


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param({**LYON, "name": "Bob"}, id="who speaks"),
        pytest.param({"role": "tool", "content": "7", "tool_call_id": "x"}, id="a tool's result"),
        pytest.param({"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}, id="a tool's call"),
        pytest.param({"role": "assistant", "content": "No.", "refusal": "No."}, id="a refusal"),
        pytest.param(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
            id="a picture",
        ),
        pytest.param({"role": "system", "content": "Now be long."}, id="an instruction later on"),
    ],
)
def test_turns_with_more_than_text_belong_to_the_partition(turn: JsonObject) -> None:
    other = after(NICE, turn)
    assert turns_of(other.messages) == ()
    assert len({partition(other), partition(after(LYON, turn)), partition(after(NICE, REPLY))}) == 3


def test_what_was_said_is_known_also_where_it_cannot_be_compared() -> None:
    shown: JsonObject = {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "data:,"}},
            {"type": "text", "text": "In Lyon?"},
        ],
    }
    messages = after(shown, {**REPLY, "name": "Bob"}, {"role": "tool", "content": None}).messages
    assert turns_of(messages) == ()
    assert said_in(messages) == (Turn("user", "In Lyon?"), Turn("assistant", "Lovely."))


def test_an_answer_is_sent_back_with_fields_that_are_empty() -> None:
    echoed: JsonObject = {**REPLY, "refusal": None, "tool_calls": None, "annotations": []}
    in_parts: JsonObject = {"role": "user", "content": [{"type": "text", "text": "I live in Lyon."}]}
    assert turns_of(after(in_parts, echoed).messages) == turns_of(after(LYON, REPLY).messages)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=3), st.text())
def test_no_chat_passes_for_another_whatever_is_in_its_texts(
    said: list[tuple[str, str]], prompt: str
) -> None:
    turns = [Turn(role, text) for role, text in said]
    whole = "".join(text for _, text in said) + prompt
    others = [turns[:i] for i in range(len(turns))]
    names = {entry_of(prompt, each) for each in (turns, *others)} | {entry_of(whole, each) for each in others}
    assert len(names) == 1 + len(others) + (len(others) if whole != prompt else 0)


# The parameters of OpenAI's chat API that divide the cache: whoever adds one here has thought about it.
DIVIDING = frozenset(
    {
        *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "modalities", "moderation", "n", "parallel_tool_calls"),
        *("prediction", "presence_penalty", "reasoning_effort", "response_format", "seed", "stop"),
        *("temperature", "tool_choice", "tools", "top_logprobs", "top_p", "verbosity", "web_search_options"),
    }
)
# Those that are no parameters here: they have a part of their own in the partition, or only say how to deliver.
NO_PARAMETERS = frozenset({"messages", "model", "stream", "stream_options"})


def test_every_parameter_of_openais_api_divides_the_cache_or_is_declared_irrelevant() -> None:
    fields = get_type_hints(CompletionCreateParamsStreaming).keys()
    assert fields == DIVIDING | IRRELEVANT_PARAMETERS | NO_PARAMETERS


@pytest.mark.parametrize("name", sorted(DIVIDING))
def test_each_that_divides_it_does(name: str) -> None:
    assert len({partition(replace(REQUEST, parameters={name: value})) for value in (0, 1)}) == 2


@pytest.mark.parametrize("name", sorted(IRRELEVANT_PARAMETERS))
def test_each_that_is_irrelevant_does_not(name: str) -> None:
    assert partition(replace(REQUEST, parameters={name: "any"})) == partition(REQUEST)


def test_tenants_share_only_an_index_that_says_so() -> None:
    def of(index: Index) -> set[str]:
        return {partition_of(REQUEST, tenant, POLICY, index, ()) for tenant in (ACME, BETA)}

    assert len(of(INDEX)) == 2
    assert len(of(SHARED)) == 1


def test_the_order_of_parameters_does_not_matter() -> None:
    one = replace(REQUEST, parameters={"seed": 1, "top_p": 0.5})
    other = replace(REQUEST, parameters={"top_p": 0.5, "seed": 1})
    assert partition(one) == partition(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is  a fjord? ", "What is a fjord?", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a\r\nb", "a\nb", True),
        ("What is IT?", "What is it?", False),
        ("if x:\n  y", "if x:\n    y", False),
        ("    x: 1", "x: 1", False),
        ("    x: 1\ny: 2", "x: 1\ny: 2", False),
        ("\tx = 1", "x = 1", False),
        ("\n\n  - a\n", "  - a", True),
        ("  - a", "- a", False),
        ("  What is a fjord? ", "What is a fjord?", True),
        (" \n Hello, how are you?\nI am well.\n", "Hello, how are you?\nI am well.", True),
        ("a b", "ab", False),
        ("What's a  fjord?", "What's a fjord?", True),
        ("Who said  it?\tBill", "Who said it? Bill", True),
        ('Is "a  b" valid?', 'Is "a b" valid?', False),
        ('Is "a\tb" valid?', 'Is "a b" valid?', False),
        ("Is “a  b” valid?", "Is “a b” valid?", False),
        ("How long is 'red  green'?", "How long is 'red green'?", False),
        ("What does `echo a  b` print?", "What does `echo a b` print?", False),
        ("what is x=a  b in sh", "what is x=a b in sh", False),
        ("How many spaces are in a  b?", "How many spaces are in a b?", False),
        ("Proofread this: a  b", "Proofread this: a b", False),
        ("Is it well written: a  b", "Is it well written: a b", False),
    ],
)
def test_prompts_are_equal_but_for_what_cannot_carry_meaning(one: str, other: str, same: bool) -> None:
    assert (entry_of(normalise(one)) == entry_of(normalise(other))) is same


def test_a_text_that_is_too_long_to_look_through_keeps_its_blanks() -> None:
    text = "caf\u00e9  " * (MOST_LOOKED_THROUGH // 6 + 1)
    assert normalise("cafe\u0301  " * (MOST_LOOKED_THROUGH // 6 + 1)) == text


@given(st.text())
def test_a_normal_prompt_stays_as_it_is(prompt: str) -> None:
    assert normalise(normalise(prompt)) == normalise(prompt)
