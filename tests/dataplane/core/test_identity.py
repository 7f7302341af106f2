"""What divides the cache, and what must not."""

from dataclasses import replace
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from tests.dataplanes import Setup, compiled
from tollway_api.snapshot import Index
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.identity import IRRELEVANT_PARAMETERS, entry_of, normalise, partition_of

SETUP = Setup("http://a/v1", "http://b/v1")
SNAPSHOT = compiled(SETUP.objects())
POLICY = SNAPSHOT.policies[0]
(INDEX,) = SNAPSHOT.indexes.values()
(SHARED,) = compiled(SETUP.but(index={"scope": "Shared"}).objects()).indexes.values()
ACME, BETA = (SNAPSHOT.tenants[name] for name in sorted(SNAPSHOT.tenants))
USER = {"role": "user", "content": "What is a fjord?"}
REQUEST = ChatRequest("r", "auto", [{"role": "system", "content": "Be brief."}, USER])


def partition(request: ChatRequest) -> str:
    return partition_of(request, ACME, POLICY, INDEX)


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
        return {partition_of(REQUEST, tenant, POLICY, index) for tenant in (ACME, BETA)}

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
        ("a b", "ab", False),
    ],
)
def test_prompts_are_equal_but_for_what_cannot_carry_meaning(one: str, other: str, same: bool) -> None:
    assert (entry_of(normalise(one)) == entry_of(normalise(other))) is same


@given(st.text())
def test_a_normal_prompt_stays_as_it_is(prompt: str) -> None:
    assert normalise(normalise(prompt)) == normalise(prompt)
