"""The real API server takes what it should, and refuses the rest in the words that say how to mend it. What it takes,
the compiler reads.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apiserver import server_side_apply
from tests.bounds import CALLER as BUDGET
from tests.bounds import SHARED
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.crds import DEFINITIONS, Definition, custom_resource_definition, structural_schema
from tollway_api.inventory import parse_inventory
from tollway_api.reach import OWN

JsonObject = dict[str, Any]
PLURALS = {definition.kind: definition.plural for definition in DEFINITIONS}

POLICY: JsonObject = {"models": [{"name": "cheap", "model": "openai/gpt-4o-mini"}]}
BY_EMBEDDING = {"complexity": {"classifier": "Embedding"}}
INDEX: JsonObject = {}
KEY: JsonObject = {"name": "provider", "key": "token"}
SMALLEST = {"RoutingPolicy": POLICY, "TenantBudget": BUDGET, "SemanticCacheIndex": INDEX}


def create(
    admin: httpx.Client, kind: str, spec: Mapping[str, Any], name: str = "one", *, kept_in: str = ""
) -> httpx.Response:
    """As `kubectl create --dry-run=server` would, everything is checked and nothing kept, unless a namespace is given
    to keep it in.
    """
    body = {
        "apiVersion": "tollway.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }  # fmt: skip
    url = f"/apis/tollway.dev/v1alpha1/namespaces/{kept_in or 'default'}/{PLURALS[kind]}"
    dry = {} if kept_in else {"dryRun": "All"}
    return admin.post(url, params={**dry, "fieldValidation": "Strict"}, json=body)


def limit(**fields: object) -> JsonObject:
    return {**BUDGET, "limits": [{"name": "a", "amount": "1", **fields}]}


def floor(**fields: object) -> JsonObject:
    return {**POLICY, "route": {**BY_EMBEDDING, "minQuality": {"least": "90%", **fields}}}


def model(**fields: object) -> JsonObject:
    return {"models": [{"name": "a", "model": "gpt-4o", **fields}]}


@pytest.mark.parametrize("kind", SMALLEST)
def test_the_smallest_object_is_taken_and_shows_what_will_run(admin: httpx.Client, kind: str) -> None:
    reply = create(admin, kind, SMALLEST[kind])
    assert reply.status_code == 201, reply.text
    spec = reply.json()["spec"]
    match kind:
        case "RoutingPolicy":
            assert spec["route"]["complexity"]["wordThreshold"] == 50
            assert spec["fallback"]["maxFallbacks"] == 2
        case "TenantBudget":
            assert spec["onExceeded"]["action"] == "Reject"
            assert spec["alertThresholdPercent"] == 80
        case "SemanticCacheIndex":
            assert spec["match"] == {
                "threshold": "0.95", "strictThreshold": "0.98", "checks": ["Numbers", "Negation", "Keywords"],
            }  # fmt: skip
            assert (spec["vector"]["m"], spec["vector"]["efConstruction"]) == (16, 200)


DURATIONS = [
    ("SemanticCacheIndex", lambda text: {"ttl": text}, "spec.ttl"),
    ("RoutingPolicy", lambda text: model(timeout=text), "spec.models[0].timeout"),
    ("RoutingPolicy", lambda text: {**POLICY, "fallback": {"deadline": text}}, "spec.fallback.deadline"),
]


@pytest.mark.parametrize(("kind", "spec", "field"), DURATIONS, ids=[each[2] for each in DURATIONS])
def test_every_duration_that_is_taken_is_one_and_of_another_its_own_field_speaks_alone(
    admin: httpx.Client, kind: str, spec: Callable[[str], JsonObject], field: str
) -> None:
    longest = "99999h" * 5 + "9h"
    assert create(admin, kind, spec(longest)).status_code == 201
    for wrong in ("100000h", "999999h999999h999999h", "1 day"):
        reply = create(admin, kind, spec(wrong))
        assert reply.status_code == 422
        (cause,) = reply.json()["details"]["causes"]
        assert cause["field"] == field
        assert "should match" in cause["message"]


def test_of_a_window_that_is_no_duration_its_own_field_speaks_alone(admin: httpx.Client) -> None:
    reply = create(admin, "TenantBudget", limit(window={"rolling": "999999h999999h999999h"}))
    (cause,) = reply.json()["details"]["causes"]
    assert cause["field"] == "spec.limits[0].window.rolling"
    assert "should match" in cause["message"]


RULES = [
    pytest.param(
        "TenantBudget",
        limit(window={"rolling": "1h"}),
        limit(window={"rolling": "1h", "calendar": "Day"}),
        "spec.limits[0].window.rolling: Invalid value: "
        'give exactly one of rolling (like "24h") and calendar (like "Day")',
        id="one window",
    ),
    pytest.param(
        "TenantBudget",
        limit(window={"calendar": "Month", "timeZone": "Asia/Tokyo"}),
        limit(window={"timeZone": "UTC"}),
        "spec.limits[0].window.rolling: Invalid value: "
        'give exactly one of rolling (like "24h") and calendar (like "Day")',
        id="some window",
    ),
    pytest.param(
        "TenantBudget",
        limit(window={"rolling": "1s"}),
        limit(window={"rolling": "999ms"}),
        "spec.limits[0].window.rolling: Invalid value: rolling must be at least 1s",
        id="shortest window",
    ),
    pytest.param(
        "TenantBudget",
        limit(window={"rolling": "8784h"}),
        limit(window={"rolling": "8784h1ms"}),
        "spec.limits[0].window.rolling: Invalid value: rolling must be at most 8784h (366 days)",
        id="longest window",
    ),
    pytest.param(
        "TenantBudget",
        limit(unit="Tokens", amount="1000"),
        limit(unit="Tokens", amount="10.5"),
        "spec.limits[0].amount: Invalid value: amount must be a whole number of tokens or requests",
        id="whole tokens",
    ),
    pytest.param(
        "TenantBudget",
        limit(amount="9000000"),
        limit(amount="9000000.01"),
        "spec.limits[0].amount: Invalid value: "
        "amount must be at most 9000000 USD; split the budget or shorten its window",
        id="most money",
    ),
    pytest.param(
        "TenantBudget",
        {**BUDGET, "onExceeded": {"action": "Degrade", "model": "cheap"}},
        {**BUDGET, "onExceeded": {"action": "Degrade"}},
        "spec.onExceeded.model: Invalid value: "
        "Degrade needs model, and Reject takes none: give action and model together",
        id="degrade to what",
    ),
    pytest.param(
        "TenantBudget",
        {**BUDGET, "onExceeded": {"message": "no"}},
        {**BUDGET, "onExceeded": {"model": "cheap"}},
        "spec.onExceeded.model: Invalid value: "
        "Degrade needs model, and Reject takes none: give action and model together",
        id="reject with a model",
    ),
    pytest.param(
        "TenantBudget",
        {**BUDGET, "scope": "Tenant"},
        {"scope": "Tenant"},
        "spec.apiKeys: Invalid value: apiKeys is required: name the Secret with the caller's key, "
        "or set scope: Namespace for a budget that counts the requests of others",
        id="a caller has a key",
    ),
    pytest.param(
        "TenantBudget",
        SHARED,
        {**SHARED, **BUDGET},
        "spec.apiKeys: Invalid value: "
        "a shared budget has no callers of its own; leave apiKeys out, or set scope: Tenant",
        id="a shared budget has no key",
    ),
    pytest.param(
        "TenantBudget",
        {**BUDGET, "tenant": "a"},
        {**SHARED, "tenant": "a"},
        "spec.tenant: Invalid value: a shared budget names no tenant; leave tenant out, or set scope: Tenant",
        id="a shared budget has no tenant",
    ),
    pytest.param(
        "TenantBudget",
        {**SHARED, "preferredModel": "auto"},
        {**SHARED, "preferredModel": "cheap"},
        "spec.preferredModel: Invalid value: a shared budget prefers no model; "
        "leave preferredModel to the tenants' own budgets, or set scope: Tenant",
        id="a shared budget prefers no model",
    ),
    pytest.param(
        "TenantBudget",
        {**SHARED, "scope": "Installation"},
        {"scope": "Installation"},
        "spec.limits: Invalid value: "
        "a shared budget needs limits, for it does nothing else; give one, or delete the budget",
        id="a shared budget limits something",
    ),
    pytest.param(
        "TenantBudget",
        {**SHARED, "selector": {"matchLabels": {"example.com/stage": "trial", "team": ""}}},
        {**BUDGET, "selector": {"matchLabels": {"stage": "trial"}}},
        "spec.selector: Invalid value: selector is for shared budgets; leave it out, or set scope: Namespace",
        id="a tenant selects nobody",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"embedding": {"provider": "OpenAICompatible", "endpoint": "https://a/v1"}},
        {"embedding": {"provider": "OpenAICompatible"}},
        "spec.embedding.endpoint: Invalid value: "
        "endpoint is required with provider OpenAICompatible; give its base URL",
        id="endpoint",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"embedding": {"model": "wordllama", "dimensions": 256}},
        {"embedding": {"credentialsRef": {"name": "a"}}},
        "spec.embedding.provider: Invalid value: "
        "provider must be OpenAICompatible where endpoint or credentialsRef is given; or leave these out",
        id="local endpoint",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"match": {"threshold": "0.9", "strictThreshold": "0.91"}},
        {"match": {"threshold": "0.99"}},
        "spec.match.threshold: Invalid value: "
        "threshold must be below strictThreshold; lower the one or raise the other",
        id="thresholds",
    ),
    pytest.param(
        "RoutingPolicy",
        model(name="automatic"),
        model(name="auto"),
        "spec.models[0].name: Invalid value: "
        "a model cannot be named auto: callers write it to let the router choose",
        id="a model named auto",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "route": {**BY_EMBEDDING, "quality": "95%"}},
        {**POLICY, "route": {**BY_EMBEDDING, "quality": "95%", "simpleShare": "60%"}},
        "spec.route.simpleShare: Invalid value: "
        "quality, simpleShare and minQuality all set one dial; give one of them",
        id="one dial",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "route": {**BY_EMBEDDING, "simpleShare": "60%"}},
        {**POLICY, "route": {"simpleShare": "60%"}},
        "spec.route.complexity.classifier: Invalid value: quality, simpleShare and minQuality choose by a probability, "
        "which Heuristic has none of; write complexity: {classifier: Embedding}",
        id="a dial of a probability",
    ),
    pytest.param(
        "RoutingPolicy",
        floor(least="99.99%"),
        floor(least="100%"),
        "spec.route.minQuality.least: Invalid value: "
        "least must be below 100%: no number of labels proves that nothing is ever worse",
        id="a floor that can be shown",
    ),
    pytest.param(
        "RoutingPolicy",
        floor(minSimpleShare="9.5%", maxSimpleShare="50%"),
        floor(minSimpleShare="50%", maxSimpleShare="9.5%"),
        "spec.route.minQuality.minSimpleShare: Invalid value: minSimpleShare must not be above maxSimpleShare",
        id="shares in order",
    ),
    pytest.param(
        "RoutingPolicy",
        floor(window="1s"),
        floor(window="999ms"),
        "spec.route.minQuality.window: Invalid value: window must be at least 1s",
        id="a floor's window",
    ),
    pytest.param(
        "RoutingPolicy",
        floor(judge={"type": "Model", "model": "cheap"}),
        floor(judge={"type": "Model"}),
        "spec.route.minQuality.judge.model: Invalid value: "
        "type Model needs the name of the model; write model",
        id="the model that judges a floor",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "route": {"complexity": {"classifier": "Embedding", "examples": {"simple": ["Hi"]}}}},
        {**POLICY, "route": {"complexity": {"examples": {"simple": ["Hi"]}}}},
        "spec.route.complexity.examples: Invalid value: "
        "examples are compared by embeddings, which Heuristic has none of; write classifier: Embedding",
        id="examples by embedding",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "route": {"complexity": {"classifier": "Embedding", "weights": "w1.0123456789ab.AAAA"}}},
        {**POLICY, "route": {"complexity": {"weights": "w1.0123456789ab.AAAA"}}},
        "spec.route.complexity.weights: Invalid value: "
        "weights are over embeddings, which Heuristic has none of; write classifier: Embedding",
        id="weights by embedding",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"ttl": "1000ms"},
        {"ttl": "0h"},
        "spec.ttl: Invalid value: ttl must be at least 1s",
        id="shortest memory",
    ),
    pytest.param(
        "RoutingPolicy",
        model(timeout="100ms"),
        model(timeout="50ms"),
        "spec.models[0].timeout: Invalid value: timeout must be at least 100ms",
        id="shortest timeout",
    ),
    pytest.param(
        "RoutingPolicy",
        model(firstTokenTimeout="100ms"),
        model(firstTokenTimeout="99ms"),
        "spec.models[0].firstTokenTimeout: Invalid value: firstTokenTimeout must be at least 100ms",
        id="shortest wait for a token",
    ),
    pytest.param(
        "RoutingPolicy",
        model(endpoint="http://a", endpoints=["http://b"]),
        model(endpoints=["http://b"]),
        "spec.models[0].endpoint: Invalid value: "
        "endpoint is the first of several; write the others into endpoints",
        id="a first endpoint",
    ),
    pytest.param(
        "RoutingPolicy",
        model(aws={"region": "eu-central-1", "credentialsRef": {"name": "account"}}),
        model(aws={"region": "eu-central-1", "credentialsRef": {"name": "account"}}, credentialsRef=KEY),
        "spec.models[0].credentialsRef: Invalid value: give either credentialsRef or aws.credentialsRef",
        id="one account",
    ),
    pytest.param(
        "RoutingPolicy",
        model(extraHeaders=[{"name": "authorization", "secretRef": KEY}]),
        model(extraHeaders=[{"name": "authorization", "secretRef": KEY}], credentialsRef=KEY),
        "spec.models[0].credentialsRef: Invalid value: "
        "give either credentialsRef or an extra header authorization",
        id="one key",
    ),
    pytest.param(
        "RoutingPolicy",
        model(extraHeaders=[{"name": "x-team", "value": "search"}]),
        model(extraHeaders=[{"name": "x-team", "value": "search", "secretRef": KEY}]),
        "spec.models[0].extraHeaders[0].value: Invalid value: give either value or secretRef",
        id="one value",
    ),
    pytest.param(
        "RoutingPolicy",
        model(extraHeaders=[{"name": "x-host", "value": "a"}]),
        model(extraHeaders=[{"name": "host", "value": "a"}]),
        "spec.models[0].extraHeaders[0].name: Invalid value: "
        "this header belongs to the connection; leave it out",
        id="a header of the connection",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "route": {"aliases": [{"name": "gpt-4o", "model": "auto"}]}},
        {**POLICY, "route": {"aliases": [{"name": "auto"}]}},
        "spec.route.aliases[0].name: Invalid value: "
        "an alias cannot be named auto: that is what it may stand for",
        id="an alias named auto",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "fallback": {"circuitBreaker": {"window": "1s"}}},
        {**POLICY, "fallback": {"circuitBreaker": {"window": "999ms"}}},
        "spec.fallback.circuitBreaker.window: Invalid value: window must be at least 1s",
        id="shortest window of failures",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "fallback": {"circuitBreaker": {"openFor": "1s"}}},
        {**POLICY, "fallback": {"circuitBreaker": {"openFor": "999ms"}}},
        "spec.fallback.circuitBreaker.openFor: Invalid value: openFor must be at least 1s",
        id="shortest opening",
    ),
    pytest.param(
        "RoutingPolicy",
        {**POLICY, "fallback": {"deadline": "100ms"}},
        {**POLICY, "fallback": {"deadline": "99ms"}},
        "spec.fallback.deadline: Invalid value: deadline must be at least 100ms",
        id="shortest deadline",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"accuracy": {"maxErrorRate": "0.01%"}},
        {"accuracy": {"maxErrorRate": "0.00%"}},
        "spec.accuracy.maxErrorRate: Invalid value: "
        "maxErrorRate must be above 0%: no number of labels proves that nothing is ever wrong",
        id="some errors",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"accuracy": {"maxErrorRate": "1%", "judge": {"type": "Labels"}, "onBreach": "Tighten"}},
        {"accuracy": {"maxErrorRate": "1%", "judge": {"type": "Labels"}}},
        "spec.accuracy.onBreach: Invalid value: "
        "with judge type Labels, onBreach must be Tighten: users can only judge what is served to them",
        id="something to judge",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"accuracy": {"maxErrorRate": "1%", "judge": {"type": "Model", "model": "a"}}},
        {"accuracy": {"maxErrorRate": "1%", "judge": {"type": "Model"}}},
        "spec.accuracy.judge.model: Invalid value: "
        "model is needed with type Model, may be given with Cascade, and with no other; give it, or leave it out",
        id="the judge's model",
    ),
    pytest.param(
        "SemanticCacheIndex",
        {"accuracy": {"maxErrorRate": "1%", "window": "1s"}},
        {"accuracy": {"maxErrorRate": "1%", "window": "999ms"}},
        "spec.accuracy.window: Invalid value: window must be at least 1s",
        id="shortest memory of labels",
    ),
]


@pytest.mark.parametrize(("kind", "accepted", "refused", "message"), RULES)
def test_each_rule_takes_what_it_should_and_says_what_is_wrong_with_the_rest(
    admin: httpx.Client, kind: str, accepted: JsonObject, refused: JsonObject, message: str
) -> None:
    taken = create(admin, kind, accepted)
    assert taken.status_code == 201, taken.text
    reply = create(admin, kind, refused)
    assert reply.status_code == 422
    assert message in causes_of(reply)


def causes_of(reply: httpx.Response) -> list[str]:
    """Without the value that was refused, which is the type's name where it is large."""
    causes = [f"{each['field']}: {each['message']}" for each in reply.json()["details"]["causes"]]
    return [re.sub(r'Invalid value: ("[^"]*"|null): ', "Invalid value: ", cause) for cause in causes]


def test_a_tenant_is_named_by_its_object_only_where_the_name_is_short_enough(admin: httpx.Client) -> None:
    assert create(admin, "TenantBudget", BUDGET, "t" * 63).status_code == 201
    assert create(admin, "TenantBudget", {**BUDGET, "tenant": "short"}, "t" * 64).status_code == 201
    assert create(admin, "TenantBudget", SHARED, "t" * 253).status_code == 201
    reply = create(admin, "TenantBudget", BUDGET, "t" * 64)
    assert LONG_NAME in causes_of(reply)


LONG_NAME = (
    "spec.tenant: Invalid value: "
    "the object's name is longer than a tenant's may be (63); shorten it, or give spec.tenant"
)


def test_no_rule_lacks_a_case() -> None:
    tried = {str(each.values[3]) for each in RULES} | {LONG_NAME}
    untried = [
        rule["message"]
        for definition in DEFINITIONS
        for rule in rules_in(custom_resource_definition(definition))
        if not any(
            case.endswith(f"{rule['fieldPath'][1:]}: Invalid value: {rule['message']}") for case in tried
        )
    ]
    assert untried == []


def rules_in(node: Any) -> Iterator[JsonObject]:
    """Every CEL rule below a schema."""
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", [])
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from rules_in(child)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
def test_rules_cost_so_little_that_every_list_could_be_four_times_as_long(
    admin: httpx.Client, definition: Definition
) -> None:
    """The API server estimates what they cost, and refuses a definition where that is too much."""
    larger = json.loads(
        json.dumps(custom_resource_definition(definition)),
        object_hook=lambda each: {**each, "maxItems": 4 * each["maxItems"]} if "maxItems" in each else each,
    )
    url = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition.name}"
    server_side_apply(admin, url, larger, "tests", dryRun="All")


# Every character but surrogates. That is what hypothesis draws by itself, once it has tried them all, for two seconds.
UTF_8 = st.characters(exclude_categories=["Cs"])


def objects(schema: JsonObject) -> st.SearchStrategy[Any]:
    """Values that a schema allows, as far as it says so without its rules."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "integer":
            return st.integers(schema["minimum"], schema.get("maximum", 2**31 - 1))
        case "array":
            items, most = objects(schema["items"]), min(schema["maxItems"], 3)
            keyed = schema["x-kubernetes-list-type"] == "map"
            return st.lists(
                items,
                min_size=schema.get("minItems", 0),
                max_size=most,
                unique_by=(lambda item: item["name"]) if keyed else repr,
            )
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(st.text(max_size=40), objects(schema["additionalProperties"]), max_size=3)
        case "object" if "properties" not in schema:  # a provider's own format
            return st.dictionaries(
                st.text(max_size=40), st.none() | st.integers() | st.text(max_size=9), max_size=3
            )
        case "object":
            required = set(schema.get("required", []))
            fields = {name: objects(child) for name, child in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: each for name, each in fields.items() if name in required},
                optional={name: each for name, each in fields.items() if name not in required},
            )
    longest = schema["maxLength"]
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z", alphabet=UTF_8).filter(
            lambda text: len(text) <= longest
        )
    return st.text(UTF_8, min_size=schema.get("minLength", 0), max_size=min(longest, 40))


def fitted(spec: JsonObject) -> JsonObject:
    """A TenantBudget's, which would else hardly ever fit its scope."""
    if spec.get("scope", "Tenant") == "Tenant":
        return {**BUDGET, **{name: value for name, value in spec.items() if name != "selector" and value}}
    never = {"apiKeys", "tenant", "preferredModel"}
    return {**SHARED, **{name: value for name, value in spec.items() if name not in never and value}}


@pytest.mark.long
@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
def test_whatever_it_takes_the_compiler_reads(admin: httpx.Client, definition: Any) -> None:
    specs = objects(structural_schema(definition.spec))
    if definition.kind == "TenantBudget":
        specs = specs | specs.map(fitted)
    taken, refused = [0], [0]
    fuzzed = "fuzzed"
    admin.post("/api/v1/namespaces", json={"metadata": {"name": fuzzed}})

    @settings(max_examples=70, deadline=None)
    @given(specs)
    def run(spec: JsonObject) -> None:
        reply = create(admin, definition.kind, spec, f"number-{taken[0]}", kept_in=fuzzed)
        if reply.status_code != 201:
            assert reply.status_code == 422, reply.text
            refused[0] += 1
            return
        taken[0] += 1
        _, problems = parse_inventory([reply.json()])
        assert problems == ()
        # As it was written, before the API server filled in the defaults.
        inventory, problems = parse_inventory([{**reply.json(), "spec": spec}])
        assert problems == ()
        compile_snapshot(inventory, bundled(), reach=OWN)

    try:
        run()
    finally:
        admin.delete(f"/apis/tollway.dev/v1alpha1/namespaces/{fuzzed}/{PLURALS[definition.kind]}")
    assert taken[0] >= 10, f"{taken[0]} taken, {refused[0]} refused: hardly anything was tried"
