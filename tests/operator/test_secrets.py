"""What is known of the Secrets that objects name, whatever the API server answers."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.dataplanes import ACME_KEY, Setup, manifest, secret
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import inventory_of, parse_inventory
from tollway_api.problems import ProblemReason
from tollway_api.snapshot import encode
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.kube import StoredSecret
from tollway_operator.references import values_in
from tollway_operator.secrets import Secrets

KEY = ("default", "acme")


class Api:
    """Answers for every Secret alike."""

    def __init__(self) -> None:
        self.says: str | KubeFault = "first"

    async def secret(self, _namespace: str, _name: str) -> StoredSecret:
        if isinstance(self.says, KubeFault):
            raise self.says
        return StoredSecret({"api-key": self.says.encode()}, "1")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def secrets(api: Api) -> Secrets:
    return Secrets(api, 60.0, lambda: None)  # type: ignore[arg-type]  # a stand-in that has what is called


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1_000.0]
    monkeypatch.setattr("tollway_operator.secrets.monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


async def test_what_was_read_stands_while_it_may_not_or_cannot_be_read_and_goes_when_it_is_gone(
    api: Api, secrets: Secrets
) -> None:
    await secrets.want([KEY])
    api.says = Forbidden("403")
    await secrets._read(KEY)
    api.says = KubeFault("500")
    with pytest.raises(KubeFault):
        await secrets._read(KEY)
    assert secrets.values == {KEY: {"api-key": "first"}}
    api.says = "second"
    await secrets._read(KEY)
    assert secrets.values == {KEY: {"api-key": "second"}}
    assert secrets.unreadable == {}
    api.says = NotFound("404")
    await secrets._read(KEY)
    assert (secrets.values, secrets.unreadable) == ({}, {})


async def test_one_that_was_never_read_and_may_not_be_is_not_said_to_be_missing(
    api: Api, secrets: Secrets
) -> None:
    api.says = Forbidden("the API server would not: 403")
    await secrets.want([KEY])
    assert secrets.values == {}
    objects = [each for each in Setup("http://a/v1", "http://b/v1").objects() if each["kind"] != "Secret"]
    parsed, _ = parse_inventory(objects)
    inventory = inventory_of(
        [*parsed.indexes, *parsed.budgets, *parsed.policies], secrets.values, (), secrets.unreadable
    )
    made = compile_snapshot(inventory, bundled(), "default")
    said = {each.identity.name: each for each in made.problems}
    assert said["acme"].reason is ProblemReason.UNREADABLE_SECRET
    assert said["acme"].message == (
        "Secret 'acme' in namespace 'default' may not be read: the API server would not: 403"
    )
    assert said["beta"].reason is ProblemReason.MISSING_SECRET


async def test_one_that_cannot_be_told_holds_everybody_up_for_a_minute_and_no_longer(
    api: Api, secrets: Secrets, clock: Callable[[float], None]
) -> None:
    api.says = KubeFault("429")
    for seconds in (0, 59):
        clock(seconds)
        with pytest.raises(KubeFault):
            await secrets.want([KEY])
    clock(2)
    await secrets.want([KEY])
    assert secrets.unreadable == {KEY: "could not be read: 429"}
    await secrets.want([])
    assert secrets.unreadable == {}


def test_what_was_published_says_what_stood_in_the_secrets_of_objects_that_are_as_they_were() -> None:
    model = {"credentialsRef": {"name": "provider", "key": "token"}}
    setup = Setup(
        "http://a/v1",
        "http://b/v1",
        cheap_model=model,
        acme={"apiKeys": [{"secretRef": {"name": "acme"}}, {"secretRef": {"name": "acme", "key": "second"}}]},
        others=(
            {**secret("provider", ""), "stringData": {"token": "sk-secret"}},
            manifest("TenantBudget", "late", {"apiKeys": [{"secretRef": {"name": "absent"}}]}),
        ),
    )
    keys = {**secret("acme", ""), "stringData": {"api-key": ACME_KEY, "second": "other"}}
    objects = [keys if each == secret("acme", ACME_KEY) else each for each in setup.objects()]
    parsed, _ = parse_inventory(objects)
    resources = [*parsed.indexes, *parsed.budgets, *parsed.policies]
    published = compile_snapshot(parsed, bundled(), "default").snapshot
    recalled = values_in(published, resources)
    assert recalled.keys() == {("default", "acme"), ("default", "beta"), ("default", "provider")}
    assert recalled["default", "acme"].keys() == {"api-key", "second"}
    again = compile_snapshot(inventory_of(resources, recalled, {}), bundled(), "default")
    assert encode(again.snapshot) == encode(published)

    edited = [replace(each, generation=each.generation + 1) for each in resources]
    assert values_in(published, edited) == {}


async def test_what_is_recalled_stands_in_for_what_may_not_be_read_and_for_nothing_else(
    api: Api, secrets: Secrets
) -> None:
    api.says = NotFound("404")
    await secrets.want([KEY])
    secrets.recall({KEY: {"api-key": "old"}})
    assert (secrets.values, secrets.unknown) == ({}, frozenset())
    api.says = Forbidden("403")
    await secrets._read(KEY)
    assert secrets.unknown == {KEY}
    secrets.recall({KEY: {"api-key": "old"}, ("default", "nobody's"): {"api-key": "old"}})
    assert (secrets.values, secrets.unknown) == ({KEY: {"api-key": "old"}}, frozenset())
    api.says = "new"
    await secrets._read(KEY)
    secrets.recall({KEY: {"api-key": "old"}})
    assert secrets.values == {KEY: {"api-key": "new"}}
