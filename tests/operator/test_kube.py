"""What an answer of the API server's is taken for."""

import httpx2
import pytest

from tollway_operator.errors import Conflict, Forbidden, Invalid, KubeFault, NotFound, Unanswered
from tollway_operator.kube import Kube


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
