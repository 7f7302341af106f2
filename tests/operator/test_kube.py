"""What an answer of the API server's is taken for, and whose what is written is."""

import json
from dataclasses import replace
from typing import Any, TypeVar, cast

import httpx2
import pytest
from lightkube import ApiError
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import Secret, ServiceAccount

from tollway_operator.errors import Conflict, Forbidden, Invalid, KubeFault, NotFound, Unanswered
from tollway_operator.kube import OWNER_NAME, Kube, Owner, StoredLease


class Client:
    """Answers everything with one status."""

    def __init__(self, status: int, retry_after: str = "7") -> None:
        request = httpx2.Request("GET", "http://127.0.0.1")
        self._response = httpx2.Response(status, headers={"retry-after": retry_after}, request=request)

    async def get(self, *_args: object, **_named: object) -> None:
        self._response.raise_for_status()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Unanswered) for status in (429, 502, 503, 504)),
        (500, KubeFault),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, Invalid),
    ],
)
async def test_an_api_server_that_has_no_time_says_nothing_of_the_object(
    status: int, kind: type[KubeFault]
) -> None:
    with pytest.raises(KubeFault) as raised:
        await Kube(Client(status)).secret("default", "acme")  # type: ignore[arg-type]  # a stand-in that has what is called
    assert type(raised.value) is kind
    assert raised.value.retry_after_s == (7.0 if kind in {Unanswered, KubeFault} else 0.0)


async def test_nobody_makes_it_wait_for_a_day() -> None:
    with pytest.raises(Unanswered) as raised:
        await Kube(Client(503, "86400")).secret("default", "acme")  # type: ignore[arg-type]  # a stand-in that has what is called
    assert raised.value.retry_after_s == 60.0


def refusal(status: int) -> ApiError:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "no"}
    request = httpx2.Request("PUT", "http://127.0.0.1")
    return ApiError(response=httpx2.Response(status, json=said, request=request))


Stored = TypeVar("Stored", Secret, Lease)


class Cluster:
    """A ServiceAccount, or why there is none; and one Secret or Lease, whose owner it may refuse to have changed."""

    def __init__(self, account: str | int) -> None:
        self.account = account
        self.standing: Any = Secret(metadata=ObjectMeta(name="s", namespace="ns", resourceVersion="1"))
        self.keeps_owners = False
        self.replacements = 0

    async def get(self, kind: type, _name: str, *, namespace: str) -> Any:
        assert namespace == "ns"
        if kind is not ServiceAccount:
            return self.standing
        if isinstance(self.account, int):
            raise refusal(self.account)
        return ServiceAccount(metadata=ObjectMeta(name=OWNER_NAME, uid=self.account))

    async def create(self, body: Stored) -> Stored:
        """As it comes back: one that is dated is a moment then."""
        self.standing = body
        return cast("Stored", type(body).from_dict(json.loads(json.dumps(body.to_dict()))))

    async def replace(self, body: Stored) -> Stored:
        self.replacements += 1
        if self.keeps_owners and references(body) != references(self.standing):
            raise refusal(403)
        return await self.create(body)


def references(secret: Secret | Lease) -> list[OwnerReference]:
    return list(secret.metadata.ownerReferences or ()) if secret.metadata else []


def uids(cluster: Cluster) -> list[str]:
    return [each.uid for each in references(cluster.standing)]


async def test_what_is_written_belongs_to_the_account_that_there_is() -> None:
    cluster = Cluster("u-1")
    kube = Kube(cluster)  # type: ignore[arg-type]  # a stand-in that has what is called
    assert (await kube.write_secret("ns", "s", {}, {}, None)).owner == Owner("u-1")
    cluster.account = "u-2"
    assert (await kube.write_secret("ns", "s", {}, {}, "1")).owner == Owner("u-2"), "one made anew"
    (reference,) = references(cluster.standing)
    assert (reference.kind, reference.name) == ("ServiceAccount", OWNER_NAME)


@pytest.mark.parametrize("status", [403, 404])
async def test_outside_a_chart_it_is_nobodys(status: int) -> None:
    cluster = Cluster(status)
    written = await Kube(cluster).write_secret("ns", "s", {}, {}, None)  # type: ignore[arg-type]  # a stand-in that has what is called
    assert written.owner is None
    assert uids(cluster) == []


async def test_once_the_owner_is_gone_nothing_is_written_and_one_that_is_not_seen_any_more_may_stand() -> (
    None
):
    cluster = Cluster("u-1")
    kube = Kube(cluster)  # type: ignore[arg-type]  # a stand-in that has what is called
    await kube.write_secret("ns", "s", {}, {}, None)
    cluster.account = 403
    assert (await kube.write_secret("ns", "s", {"a": b"1"}, {}, "1")).owner == Owner("u-1")
    cluster.account = 404
    with pytest.raises(NotFound):
        await kube.write_secret("ns", "s", {"a": b"2"}, {}, "1")
    assert cluster.standing.data == {"a": "MQ=="}


async def test_where_owners_may_not_be_changed_what_stands_keeps_the_one_it_has() -> None:
    cluster = Cluster("u-1")
    cluster.keeps_owners = True
    kube = Kube(cluster)  # type: ignore[arg-type]  # a stand-in that has what is called
    assert (await kube.write_secret("ns", "s", {"a": b"1"}, {}, "1")).owner is None
    assert cluster.standing.data == {"a": "MQ=="}
    await kube.write_secret("ns", "s", {}, {}, None)
    assert uids(cluster) == ["u-1"], "what is made may have one"


@pytest.mark.parametrize(
    ("version", "kind", "name", "is_ours"),
    [
        ("v1", "ServiceAccount", OWNER_NAME, True),
        ("apps/v1", "Deployment", OWNER_NAME, False),
        ("example.com/v1", "ServiceAccount", OWNER_NAME, False),
        ("v1", "ServiceAccount", "another", False),
    ],
)
async def test_only_the_account_is_an_owner_whatever_else_bears_its_name(
    version: str, kind: str, name: str, *, is_ours: bool
) -> None:
    """The data plane's Deployment has the same name."""
    cluster = Cluster(403)
    reference = OwnerReference(apiVersion=version, kind=kind, name=name, uid="u-9")
    cluster.standing = Secret(metadata=ObjectMeta(name="s", namespace="ns", ownerReferences=[reference]))
    found = await Kube(cluster).secret("ns", "s")  # type: ignore[arg-type]  # a stand-in that has what is called
    assert (found.owner == Owner("u-9")) == is_ours


async def test_a_lease_that_was_taken_without_an_owner_gets_it_with_a_renewal_once_it_is_known() -> None:
    """Which waits for no look-up of its own; and where owners stay as they are, it is tried once."""
    now = "2026-01-01T00:00:00.000000Z"
    cluster = Cluster(403)
    kube = Kube(cluster)  # type: ignore[arg-type]  # a stand-in that has what is called
    lease = await kube.write_lease("ns", "l", StoredLease("op-1", now, 1, 15, ""), now)
    lease = await kube.write_lease("ns", "l", replace(lease, resource_version="1"), None)
    assert lease.owner is None
    cluster.account = "u-1"
    await kube.owner("ns")
    cluster.keeps_owners, cluster.replacements = True, 0
    for _ in range(2):
        kept = await kube.write_lease("ns", "l", replace(lease, resource_version="1"), None)
        assert kept.owner is None
    assert cluster.replacements == 3, "once refused, then twice as it is"
    cluster.keeps_owners, kube = False, Kube(cluster)  # type: ignore[arg-type]  # likewise
    await kube.owner("ns")
    renewed = await kube.write_lease("ns", "l", replace(lease, resource_version="1"), None)
    assert renewed.owner == Owner("u-1")
