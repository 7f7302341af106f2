"""What is known of the Secrets that objects name, whatever the API server answers."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import pytest

from tests.dataplanes import ACME_KEY, BETA_KEY, Setup, secret
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import SecretKey, inventory_of, parse_inventory
from tollway_api.meta import TenantName
from tollway_api.problems import ProblemReason
from tollway_api.reach import OWN
from tollway_api.snapshot import Snapshot, decode, encode
from tollway_api.wire import key_digest
from tollway_operator.errors import Forbidden, KubeFault, NotFound, Unanswered
from tollway_operator.kube import StoredSecret
from tollway_operator.references import secrets_of, values_in
from tollway_operator.secrets import Secrets

KEY = ("default", "acme")


class Api:
    """Answers for every Secret alike."""

    def __init__(self) -> None:
        self.says: str | KubeFault = "first"
        self.begun: asyncio.Event | None = None
        self.goes_on: asyncio.Event | None = None

    async def secret(self, _namespace: str, _name: str) -> StoredSecret:
        if self.begun is not None and self.goes_on is not None:
            self.begun.set()
            await self.goes_on.wait()
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
    made = compile_snapshot(inventory, bundled(), "default", reach=OWN)
    said = {each.identity.name: each for each in made.problems}
    assert said["acme"].reason is ProblemReason.UNREADABLE_SECRET
    assert said["acme"].message == (
        "Secret 'acme' in namespace 'default' may not be read: the API server would not: 403"
    )
    assert said["beta"].reason is ProblemReason.MISSING_SECRET


@pytest.mark.parametrize(
    ("fault", "patient_s"), [(Unanswered("429"), 60), (KubeFault("500"), 10)], ids=["busy", "failing"]
)
async def test_what_cannot_be_told_holds_everybody_up_for_a_while_and_no_longer(
    api: Api, secrets: Secrets, clock: Callable[[float], None], fault: KubeFault, patient_s: int
) -> None:
    api.says = fault
    for seconds in (0, patient_s - 1):
        clock(seconds)
        with pytest.raises(KubeFault):
            await secrets.want([KEY])
    clock(2)
    await secrets.want([KEY])
    assert secrets.unreadable == {KEY: f"could not be read: {fault}"}
    other = ("default", "other")
    await secrets.want([KEY, other])
    assert secrets.unreadable.keys() == {KEY, other}, "nor does one after another"
    await secrets.want([])
    assert secrets.unreadable == {}
    with pytest.raises(KubeFault):
        await secrets.want([other])


def test_what_was_published_says_what_stood_in_each_secret() -> None:
    keys = [{"secretRef": {"name": "absent"}}, {"secretRef": {"name": "acme", "key": "second"}}]
    setup = Setup(
        "http://a/v1",
        "http://b/v1",
        cheap_model={"credentialsRef": {"name": "provider", "key": "token"}},
        rich_model={"credentialsRef": {"name": "acme", "key": "second"}},
        acme={"apiKeys": keys},
        others=({**secret("provider", ""), "stringData": {"token": "sk-secret"}},),
    )
    both = {**secret("acme", ""), "stringData": {"api-key": ACME_KEY, "second": "other"}}
    objects = [both if each == secret("acme", ACME_KEY) else each for each in setup.objects()]
    parsed, _ = parse_inventory(objects)
    published = compile_snapshot(parsed, bundled(), "default", reach=OWN).snapshot
    recalled = values_in(decode(encode(published)))
    # By where they stand, not by their order; and what a provider is to have is no digest.
    assert recalled == {
        ("default", "acme"): {"second": "other"},
        ("default", "beta"): {"api-key": f"sha256:{key_digest(BETA_KEY)}"},
        ("default", "provider"): {"token": "sk-secret"},
    }
    resources = [*parsed.indexes, *parsed.budgets, *parsed.policies]
    unreadable = dict.fromkeys(recalled, "may not be read")
    again = compile_snapshot(
        inventory_of(resources, recalled, {}, unreadable), bundled(), "default", reach=OWN
    )
    assert encode(again.snapshot) == encode(published)
    told = {
        problem.identity.name for problem in again.problems if problem.reason is ProblemReason.STALE_SECRET
    }
    assert told == {"acme", "beta", "chat"}


def test_a_models_account_and_headers_are_among_what_was_published() -> None:
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "aws_session_token": "token"}
    model = {
        "model": "bedrock/us.amazon.nova-lite-v1:0",
        "pricing": {"input": "1", "output": "1"},
        "aws": {"region": "us-east-1", "credentialsRef": {"name": "amazon"}},
        "extraHeaders": [
            {"name": "x-key", "secretRef": {"name": "gateway"}},
            {"name": "x-team", "value": "search"},
        ],
    }
    others = ({**secret("amazon", ""), "stringData": keys}, secret("gateway", "k"))
    parsed, _ = parse_inventory(
        Setup("http://a/v1", "http://b/v1", cheap_model=model, others=others).objects()
    )
    (policy,) = parsed.policies
    assert {*secrets_of(policy)} == {("default", "amazon"), ("default", "gateway")}
    published = compile_snapshot(parsed, bundled(), "default", reach=OWN).snapshot
    recalled = values_in(decode(encode(published)))
    assert recalled["default", "amazon"] == keys
    assert recalled["default", "gateway"] == {"api-key": "k"}


def test_a_key_is_taken_back_by_taking_out_its_reference_although_its_secret_may_not_be_read() -> None:
    def compiled_with(*names: str, **known: Mapping[SecretKey, Mapping[str, str]]) -> Snapshot:
        keys = [{"secretRef": {"name": name}} for name in names]
        setup = Setup("http://a/v1", "http://b/v1", acme={"apiKeys": keys}, others=(secret("next", "new"),))
        parsed, _ = parse_inventory(setup.objects())
        secrets = known.get("secrets", parsed.secrets)
        unreadable = dict.fromkeys(secrets, "may not be read") if known else {}
        resources = [*parsed.indexes, *parsed.budgets, *parsed.policies]
        inventory = inventory_of(resources, secrets, {}, unreadable)
        return compile_snapshot(inventory, bundled(), "default", reach=OWN).snapshot

    published = compiled_with("acme", "next")
    assert published.tenants[TenantName("acme")].key_digests.keys() == {"acme/api-key", "next/api-key"}
    after = compiled_with("next", secrets=values_in(published))
    assert after.tenants[TenantName("acme")].key_digests == {"next/api-key": key_digest("new")}


def test_a_digest_is_no_key_for_a_provider_and_our_own_secrets_are_nobodys_reference() -> None:
    for own, said in ((False, "has only a digest"), (True, "is Tollway's own")):
        name = "tollway-snapshot" if own else "provider"
        setup = Setup("http://a/v1", "http://b/v1", cheap_model={"credentialsRef": {"name": name}})
        parsed, _ = parse_inventory([*setup.objects(), secret(name, f"sha256:{key_digest('any')}")])
        made = compile_snapshot(parsed, bundled(), "default", reach=OWN)
        assert not made.snapshot.policies
        assert any(said in problem.message for problem in made.problems)
    keys = [{"secretRef": {"name": "acme"}}, {"secretRef": {"name": "tollway-admin-token"}}]
    setup = Setup("http://a/v1", "http://b/v1", acme={"apiKeys": keys})
    parsed, _ = parse_inventory([*setup.objects(), secret("tollway-admin-token", "any")])
    assert set(compile_snapshot(parsed, bundled(), "default", reach=OWN).snapshot.tenants) == {"beta"}


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


async def test_one_that_is_not_wanted_any_more_while_it_is_read_is_forgotten(
    api: Api, secrets: Secrets, clock: Callable[[float], None]
) -> None:
    await secrets.want([KEY])
    clock(61.0)
    api.says, api.begun, api.goes_on = Forbidden("403"), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(secrets.run())
    await asyncio.wait_for(api.begun.wait(), 10)
    await secrets.want([])
    api.goes_on.set()
    while not secrets.unreadable:  # noqa: ASYNC110 - what nobody tells of
        await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await secrets.want([])
    assert not secrets.unknown
