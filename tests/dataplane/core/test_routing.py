"""Which model answers, and which requests may be answered from memory."""

from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tollway_dataplane.core.cacheability import bypass_reason
from tollway_dataplane.core.complexity import Prompt, heuristic
from tollway_dataplane.core.decision import CacheReason, RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.routing import assessed, named_model, settled
from tollway_dataplane.errors import Refusal

SETUP = Setup("http://a/v1", "http://b/v1")


def request(prompt: str, model: str = "auto", **more: Any) -> ChatRequest:
    return ChatRequest("r", model, [{"role": "user", "content": prompt}], prompt=prompt, **more)


@pytest.mark.parametrize(
    ("model", "preferred", "prompt", "chosen", "reason"),
    [
        ("auto", "auto", "easy", "cheap", RouteReason.SIMPLE),
        ("auto", "auto", "explain it", "rich", RouteReason.KEYWORD),
        ("auto", "rich", "easy", "rich", RouteReason.PREFERRED),
        ("cheap", "rich", "explain it", "cheap", RouteReason.EXPLICIT),
    ],
)
def test_a_named_model_wins_then_the_tenants_then_the_routers(
    model: str, preferred: str, prompt: str, chosen: str, reason: RouteReason
) -> None:
    snapshot = compiled(SETUP.but(acme={"preferredModel": preferred}).objects())
    tenant = next(tenant for tenant in snapshot.tenants.values() if tenant.name == "acme")
    policy = snapshot.policies[0]
    assessment = heuristic(policy.route).assess(Prompt.of(request(prompt, model)))
    choice = settled(named_model(model, policy), tenant, policy) or assessed(assessment, policy.route)
    assert (choice.model, choice.reason) == (chosen, reason)


@pytest.mark.parametrize(
    ("policy", "model", "status"),
    [
        ({}, "gpt-9", 404),
        ({"route": {"explicitModel": "Deny"}}, "cheap", 403),
        ({"match": {"models": ["auto", "house-model"]}}, "house-model", None),
        ({"route": {"explicitModel": "Deny"}}, "auto", None),
    ],
)
def test_a_caller_may_name_only_what_the_policy_lets_it(
    policy: dict[str, object], model: str, status: int | None
) -> None:
    found = compiled(SETUP.but(policy=policy).objects()).policies[0]
    if status is None:
        assert named_model(model, found) is None
        return
    with pytest.raises(Refusal) as refused:
        named_model(model, found)
    assert refused.value.status == status
    assert "auto" in refused.value.message


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"parameters": {"temperature": 0.2, "n": 1}}, None),
        ({"headers": {"cache-control": "max-age=0, No-Cache"}}, CacheReason.OPTED_OUT),
        ({"headers": {"cache-control": "no-store"}}, CacheReason.OPTED_OUT),
        ({"parameters": {"tools": [{"type": "function"}]}}, CacheReason.HAS_TOOLS),
        ({"parameters": {"tools": []}}, None),
        ({"parameters": {"n": 2}}, CacheReason.SEVERAL_CHOICES),
        ({"parameters": {"temperature": 1.9}}, CacheReason.HIGH_TEMPERATURE),
    ],
)
def test_some_requests_are_not_to_be_answered_from_memory(
    more: dict[str, Any], reason: CacheReason | None
) -> None:
    assert bypass_reason(request("hi", **more), compiled(SETUP.objects()).policies[0]) is reason
