"""Which policy governs a request."""

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.dataplanes import compiled
from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Header, KeyFacts, Match, Snapshot, Tenant
from tollway_api.wire import key_digest
from tollway_dataplane.core.matching import Directory
from tollway_dataplane.errors import Refusal

NOW_S = 1_800_000_000.0
MODELS = "models: [{name: cheap, model: gpt-4o-mini}]"


def policy(name: str, namespace: str, more: str = "{}", priority: int = 0, year: int = 2026) -> str:
    return f"""
apiVersion: tollway.dev/v1alpha1
kind: RoutingPolicy
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec: {{match: {more}, priority: {priority}, {MODELS}}}
---"""


def tenant(name: str, namespace: str) -> str:
    return f"""
apiVersion: tollway.dev/v1alpha1
kind: TenantBudget
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{apiKeys: [{{secretRef: {{name: {name}}}}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}}}
stringData: {{api-key: key-of-{name}}}
---"""


def matched(manifests: str, name: str, model: str = "auto", **headers: str) -> str:
    directory = Directory(compiled(manifests), "r")
    found = directory.authenticate(key_digest(f"key-of-{name}"), NOW_S).tenant
    return directory.match(
        found, model, {key.replace("_", "-"): value for key, value in headers.items()}
    ).name


A = tenant("a", "team-a")
B = tenant("b", "team-b")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (policy("own", "team-a") + policy("shared", "default"), "own"),
        (policy("own", "team-a", priority=-5) + policy("shared", "default", priority=9), "own"),
        (policy("low", "team-a") + policy("high", "team-a", "{models: [auto]}", 1), "high"),
        (policy("wide", "team-a") + policy("narrow", "team-a", "{tenants: [a]}"), "narrow"),
        (policy("b", "team-a", "{models: [auto]}") + policy("a", "team-a", "{tenants: [a]}"), "a"),
        (policy("other", "team-a", "{models: [x]}") + policy("shared", "default"), "shared"),
        (policy("foreign", "team-b") + policy("shared", "default"), "shared"),
    ],
    ids=[
        "own before installation",
        "whatever the priority",
        "priority",
        "specific",
        "name",
        "fits",
        "foreign",
    ],
)
def test_the_best_policy_that_may_govern_the_tenant_wins(policies: str, expected: str) -> None:
    assert matched(A + B + policies, "a") == expected


def test_another_teams_policy_never_governs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="no RoutingPolicy matches") as refused:
        matched(A + B + policy("foreign", "team-b"), "a")
    assert refused.value.status == 404
    assert "foreign" not in refused.value.message


def test_a_refusal_names_the_policies_that_were_tried() -> None:
    with pytest.raises(Refusal, match="team-a/one"):
        matched(A + policy("one", "team-a", "{models: [x]}"), "a")


def test_headers_narrow_a_policy() -> None:
    manifests = (
        A
        + policy("plain", "team-a")
        + policy("beta", "team-a", "{headers: [{name: X-Channel, value: beta}]}")
    )
    assert matched(manifests, "a") == "plain"
    assert matched(manifests, "a", x_channel="beta") == "beta"
    assert matched(manifests, "a", x_channel="other") == "plain"


BETA = "headers: [{name: X-Channel, value: beta}"


@pytest.mark.parametrize(
    ("policies", "headers", "expected"),
    [
        (
            policy("a", "team-a", "{models: [auto]}") + policy("b", "team-a", "{tenants: [a]}", year=2025),
            {},
            "b",
        ),
        (policy("b", "team-a", "{tenants: [b]}") + policy("a", "team-a"), {}, "a"),
        (policy("b", "default", "{tenants: [b]}") + policy("a", "default", "{tenants: [a]}"), {}, "a"),
        (policy("one", "team-a", f"{{{BETA}]}}") + policy("zero", "team-a"), {"x_channel": "beta"}, "one"),
        (
            policy("one", "team-a", f"{{{BETA}]}}")
            + policy("two", "team-a", f"{{{BETA}, {{name: X-Eu, value: '1'}}]}}"),
            {"x_channel": "beta", "x_eu": "1"},
            "two",
        ),
        (
            policy("one", "team-a", f"{{{BETA}]}}")
            + policy("two", "team-a", f"{{{BETA}, {{name: X-Eu, value: '1'}}]}}"),
            {"x_channel": "beta", "x_eu": "2"},
            "one",
        ),
        (
            policy("low", "team-a", f"{{{BETA}], tenants: [a], models: [auto]}}")
            + policy("high", "team-a", priority=1),
            {"x_channel": "beta"},
            "high",
        ),
        (
            policy("own", "team-a") + policy("shared", "default", f"{{{BETA}], tenants: [a]}}", 9),
            {"x_channel": "beta"},
            "own",
        ),
    ],
    ids=[
        "the older of two as specific",
        "another tenant's does not",
        "another tenant's of the installation does not",
        "a header is more specific than none",
        "two headers than one",
        "all headers must be met",
        "priority before whatever is specific",
        "one's own before whatever is specific",
    ],
)
def test_policies_for_tenants_and_headers_take_precedence_in_order(
    policies: str, headers: dict[str, str], expected: str
) -> None:
    assert matched(A + B + policies, "a", **headers) == expected


def _in_turn(snapshot: Snapshot, tenant: Tenant, model: str, headers: Mapping[str, str]) -> str | None:
    """What looking at one policy after the other finds."""
    own = [each for each in snapshot.policies if each.namespace == tenant.namespace]
    shared = [each for each in snapshot.policies if each.namespace == "default" != tenant.namespace]
    for policy in own + shared:
        match = policy.match
        if (
            (not match.tenants or tenant.name in match.tenants)
            and (not match.models or model in match.models)
            and all(headers.get(each.name) == each.value for each in match.headers)
        ):
            return policy.id
    return None


def test_policies_are_found_as_by_looking_at_one_after_the_other() -> None:
    draw = random.Random(5)  # noqa: S311 - the same policies each time
    snapshot = compiled(A + B + tenant("c", "default") + policy("p", "team-a"))
    (one,) = snapshot.policies

    def some(names: str) -> tuple[str, ...]:
        return tuple(each for each in names if draw.random() < 0.2)

    found = Counter[bool]()
    for _ in range(200):
        policies = tuple(
            replace(
                one,
                name=f"p{number}",
                namespace=draw.choice(("team-a", "team-b", "default")),
                match=Match(
                    tuple(map(ModelName, some("xyz"))),
                    tuple(map(TenantName, some("abc"))),
                    tuple(Header(each, "1") for each in some("hk")),
                ),
            )
            for number in range(draw.randrange(8))
        )
        directory = Directory(replace(snapshot, policies=policies), "r")
        for who, model in itertools.product(snapshot.tenants.values(), ("x", "y", "auto")):
            headers = dict.fromkeys(some("hk"), "1")
            expected = _in_turn(directory.snapshot, who, model, headers)
            found[expected is None] += 1
            if expected is None:
                with pytest.raises(Refusal, match="no RoutingPolicy matches"):
                    directory.match(who, model, headers)
            else:
                assert directory.match(who, model, headers).id == expected
    assert min(found[True], found[False]) > 100


def test_a_key_is_refused_from_the_very_moment_at_which_it_expires() -> None:
    snapshot = compiled(policy("p", "default") + A)
    acme, digest = snapshot.tenants[TenantName("a")], key_digest("key-of-a")
    facts = {"a/api-key": KeyFacts("team", int(NOW_S * 1_000))}
    directory = Directory(replace(snapshot, tenants={acme.name: replace(acme, key_facts=facts)}), "r")
    assert directory.authenticate(digest, NOW_S - 0.001).key == "team"
    with pytest.raises(Refusal, match=r"401 expired_api_key: this API key expired at 2027-01-15T08:00:00Z"):
        directory.authenticate(digest, NOW_S)


def test_a_key_is_known_by_its_whole_digest_alone() -> None:
    """So how long it takes to look it up says nothing of the key: who guesses chooses no digest."""
    snapshot = compiled(policy("p", "default") + A)
    directory, digest = Directory(snapshot, "r"), key_digest("key-of-a")
    assert directory.authenticate(digest, NOW_S).tenant.name == "a"
    other = "0" if digest[-1] != "0" else "1"
    for wrong in ("key-of-a", f"sha256:{digest}", digest[:-1], digest[:-1] + other, digest.upper() + " ", ""):
        with pytest.raises(Refusal, match="401"):
            directory.authenticate(wrong, NOW_S)
    held = [each for tenant in snapshot.tenants.values() for each in tenant.key_digests.values()]
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in held)
