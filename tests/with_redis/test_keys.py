"""A tenant's API keys: rotated without a moment in which none works, refused once they have expired, and gone with
their budget.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import openai
import pytest

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, compilation, secret, until
from tollway_api.snapshot import encode

NEXT_KEY = "acme-next-key"
OLD, NEXT = {"secretRef": {"name": "acme"}}, {"secretRef": {"name": "acme-next"}}


def with_keys(setup: Setup, *keys: Mapping[str, object]) -> Setup:
    return setup.but(acme={"apiKeys": list(keys)}, others=(secret("acme-next", NEXT_KEY),))


async def status(gateway: Running, key: str) -> int:
    return (await gateway.ask("What is a fjord?", key)).status


async def test_keys_are_rotated_without_a_moment_in_which_none_works(start: Start, setup: Setup) -> None:
    gateway = await start(with_keys(setup, OLD))
    assert [await status(gateway, key) for key in (ACME_KEY, NEXT_KEY)] == [200, 401]
    await gateway.swap(with_keys(setup, OLD, NEXT))
    assert [await status(gateway, key) for key in (ACME_KEY, NEXT_KEY)] == [200, 200]
    await gateway.swap(with_keys(setup, NEXT))
    assert [await status(gateway, key) for key in (ACME_KEY, NEXT_KEY)] == [401, 200]


async def test_a_key_of_a_deleted_budget_stops_as_soon_as_the_pod_has_acknowledged(
    start: Start, setup: Setup
) -> None:
    gateway = await start(setup)
    assert [await status(gateway, key) for key in (ACME_KEY, BETA_KEY)] == [200, 200]
    left = [each for each in setup.objects() if each["metadata"] != {"name": "acme"}]
    encoded = encode(compilation(left).snapshot)
    revision = await gateway.dataplane.live.offer(encoded)  # which is what it acknowledges by
    assert gateway.dataplane.live.revision == revision
    assert [await status(gateway, key) for key in (ACME_KEY, BETA_KEY)] == [401, 200]


async def test_an_expired_key_is_refused_and_told_why_and_one_beside_it_is_not(
    start: Start, setup: Setup
) -> None:
    ended = datetime.now(UTC) - timedelta(minutes=5)
    ends = datetime.now(UTC) + timedelta(hours=1)
    gateway = await start(
        with_keys(setup, {**OLD, "expiresAt": ended.isoformat()}, {**NEXT, "expiresAt": ends.isoformat()})
    )
    with pytest.raises(openai.AuthenticationError) as caught:
        await gateway.acme.models.list()
    assert caught.value.code == "expired_api_key"
    assert f"expired at {ended.strftime('%Y-%m-%dT%H:%M:%SZ')}" in caught.value.message
    with pytest.raises(openai.AuthenticationError):
        await gateway.acme.chat.completions.create(model="auto", messages=[{"role": "user", "content": "x"}])
    assert await status(gateway, NEXT_KEY) == 200


async def test_the_log_tells_keys_of_a_tenant_apart_and_has_none_in_it(start: Start, setup: Setup) -> None:
    gateway = await start(with_keys(setup, {**OLD, "name": "team-a"}, NEXT))
    await status(gateway, ACME_KEY)
    await status(gateway, NEXT_KEY)

    def keys() -> list[object]:
        return [each["key"] for each in gateway.log_lines() if each["event"] == "request"]

    await until(lambda: len(keys()) == 2)
    assert keys() == ["team-a", "acme-next/api-key"]
    assert ACME_KEY.encode() not in gateway.log.getvalue()
    assert ACME_KEY.encode() not in encode(gateway.snapshot), "digests alone leave the operator"
