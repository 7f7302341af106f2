"""The token is made where there is none, and rotated by a second one."""

from collections.abc import Mapping

import pytest

from tollway_operator.admin_token import SECRET_NAME, AdminToken
from tollway_operator.errors import Conflict, Forbidden, NotFound
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
        self.labels, self.owner = labels or {}, owner
        self.writes = 0
        self.refuses = False

    async def secret(self, _namespace: str, name: str) -> StoredSecret:
        assert name == SECRET_NAME
        if self.data is None:
            raise NotFound("none")
        return StoredSecret(dict(self.data), "1", self.labels, self.owner)

    async def write_secret(
        self, _namespace: str, _name: str, data: Mapping[str, bytes], _labels: object, _version: str | None
    ) -> str:
        self.writes += 1
        if self.refuses:
            raise Forbidden("no")
        if self.first is not None:
            self.data, self.first = self.first, None
            raise Conflict("it exists")
        self.data = data
        return "2"


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


async def test_where_it_may_not_be_written_it_is_as_good_a_token() -> None:
    kube = Kube({"token": OLDER}, labels=OURS, owner=None)
    kube.refuses = True
    assert await ensured(kube) == [OLDER.decode()]
