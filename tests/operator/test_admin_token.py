"""The token is made where there is none, and rotated by a second one."""

from collections.abc import Mapping

import pytest

from tollway_operator.admin_token import SECRET_NAME, AdminToken
from tollway_operator.errors import Conflict, Forbidden, KubeFault, NotFound, Unanswered
from tollway_operator.kube import Owner, StoredSecret

OURS = {"app.kubernetes.io/part-of": "tollway", "app.kubernetes.io/managed-by": "tollway-operator"}
OLDER, NEWER = b"an-older-token", b"a-newer-token"


class Kube:
    """Keeps one Secret; `first` is what somebody else makes of it just before it is written."""

    def __init__(
        self,
        data: Mapping[str, bytes] | None,
        first: Mapping[str, bytes] | None = None,
        labels: Mapping[str, str] | None = None,
        owner: Owner | None = None,
    ) -> None:
        self.data, self.first = data, first
        self.labels, self.owner_seen = labels or {}, owner
        self.keeps_owners = False
        self.account: Owner | None = Owner("u-1")
        self.writes = 0
        self.fault: type[KubeFault] | None = None

    async def secret(self, _namespace: str, name: str) -> StoredSecret:
        assert name == SECRET_NAME
        if self.data is None:
            raise NotFound("none")
        return StoredSecret(dict(self.data), "1", self.labels, self.owner_seen)

    async def write_secret(
        self,
        _namespace: str,
        _name: str,
        data: Mapping[str, bytes],
        labels: Mapping[str, str],
        _version: str | None,
    ) -> StoredSecret:
        self.writes += 1
        if self.fault is not None:
            raise self.fault("no")
        if self.first is not None:
            self.data, self.first = self.first, None
            raise Conflict("it exists")
        self.data, self.labels = data, labels
        if not self.keeps_owners:
            self.owner_seen = self.account
        return StoredSecret(data, "2", labels, self.owner_seen)

    async def owner(self, _namespace: str) -> Owner | None:
        return self.account


class Leads:
    def fence(self) -> int:
        return 5


async def ensured(kube: Kube) -> list[str]:
    return await AdminToken(kube, Leads(), "tollway-system").ensure()  # type: ignore[arg-type]  # they stand in


@pytest.mark.parametrize("keys", [("token", "next"), ("next", "token")])
async def test_while_it_is_rotated_both_are_valid(keys: tuple[str, str]) -> None:
    kube = Kube(dict(zip(keys, (OLDER, NEWER), strict=True)))
    assert sorted(await ensured(kube)) == sorted([OLDER.decode(), NEWER.decode()])
    kube.data = {keys[1]: NEWER}
    assert await ensured(kube) == [NEWER.decode()], "the first is gone"


@pytest.mark.parametrize(
    "data", [None, {}, {"token": b""}], ids=["no Secret", "no key", "none that can be sent"]
)
async def test_where_there_is_none_one_is_made_that_stays(data: Mapping[str, bytes] | None) -> None:
    kube = Kube(data)
    (made,) = await ensured(kube)
    assert len(made) >= 32
    assert await ensured(kube) == [made]
    assert (await ensured(Kube(data))) != [made]


async def test_one_that_somebody_else_has_made_meanwhile_is_taken() -> None:
    assert await ensured(Kube(None, first={"token": OLDER})) == [OLDER.decode()]


@pytest.mark.parametrize(
    ("labels", "owner", "writes"),
    [(OURS, None, 1), (OURS, Owner("u-1"), 0), ({"team": "platform"}, None, 0), ({}, None, 0)],
    ids=["an earlier release's", "this one's", "somebody else's", "made by hand"],
)
async def test_one_that_an_earlier_release_has_made_is_written_once_more_as_it_is(
    labels: Mapping[str, str], owner: Owner | None, writes: int
) -> None:
    kube = Kube({"next": NEWER, "token": OLDER}, labels=labels, owner=owner)
    token = AdminToken(kube, Leads(), "tollway-system")  # type: ignore[arg-type]  # they stand in
    for _ in range(3):
        assert await token.ensure() == [NEWER.decode(), OLDER.decode()]
    assert kube.writes == writes
    assert kube.data == {"next": NEWER, "token": OLDER}


def unowned() -> tuple[Kube, AdminToken]:
    kube = Kube({"token": OLDER}, labels=OURS, owner=None)
    return kube, AdminToken(kube, Leads(), "tollway-system")  # type: ignore[arg-type]  # they stand in


async def test_where_it_may_not_be_written_it_is_as_good_a_token_and_is_tried_again_for_another_account() -> (
    None
):
    kube, token = unowned()
    kube.fault = Forbidden
    for _ in range(3):
        assert await token.ensure() == [OLDER.decode()]
    assert kube.writes == 1
    kube.fault, kube.account = None, Owner("u-2")
    await token.ensure()
    assert kube.owner_seen == Owner("u-2")


@pytest.mark.parametrize("fault", [Unanswered, Conflict, KubeFault])
async def test_what_goes_wrong_for_the_moment_is_tried_again_with_the_next_run(
    fault: type[KubeFault],
) -> None:
    kube, token = unowned()
    kube.fault = fault
    assert await token.ensure() == [OLDER.decode()]
    kube.fault = None
    await token.ensure()
    assert kube.owner_seen == Owner("u-1")


async def test_an_account_that_can_be_read_only_later_owns_it_then() -> None:
    """Until then nothing is written in vain."""
    kube, token = unowned()
    kube.account = None
    await token.ensure()
    assert kube.writes == 0
    kube.account = Owner("u-1")
    await token.ensure()
    assert kube.owner_seen == Owner("u-1")


async def test_where_owners_stay_as_they_are_it_is_written_once() -> None:
    """A cluster that ignores the change says so by what it answers."""
    kube, token = unowned()
    kube.keeps_owners = True
    for _ in range(3):
        await token.ensure()
    assert kube.writes == 1
