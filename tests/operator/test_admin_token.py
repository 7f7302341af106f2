"""The token is made where there is none, and rotated by a second one."""

from collections.abc import Mapping

import pytest

from tollway_operator.admin_token import SECRET_NAME, AdminToken
from tollway_operator.errors import Conflict, NotFound
from tollway_operator.kube import StoredSecret

OLDER, NEWER = b"an-older-token", b"a-newer-token"


class Kube:
    """Keeps one Secret; `first` is what somebody else makes of it just before it is written."""

    def __init__(self, data: Mapping[str, bytes] | None, first: Mapping[str, bytes] | None = None) -> None:
        self.data, self.first = data, first

    async def secret(self, _namespace: str, name: str) -> StoredSecret:
        assert name == SECRET_NAME
        if self.data is None:
            raise NotFound("none")
        return StoredSecret(dict(self.data), "1")

    async def write_secret(
        self, _namespace: str, _name: str, data: Mapping[str, bytes], _labels: object, _version: str | None
    ) -> str:
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
