"""What a data plane says that it runs."""

import asyncio

from tests.dataplanes import Setup, compiled
from tollway_api import snapshot
from tollway_api.snapshot import Snapshot
from tollway_dataplane.live import Live

SETUP = Setup("http://a/v1", "http://b/v1")
ONE, TWO = (snapshot.encode(compiled(each.objects())) for each in (SETUP, SETUP.but(policy={"priority": 7})))


async def test_it_does_not_say_that_it_runs_a_snapshot_before_what_was_begun_for_the_last_one_is_settled() -> (
    None
):
    """Who hears that may delete what only the one before had."""
    settled, accepted = asyncio.Event(), list[str]()

    async def settle(decoded: Snapshot) -> None:
        if decoded == snapshot.decode(TWO):
            await settled.wait()

    async def prepare(_: Snapshot) -> None:
        return None

    live = Live(prepare, accepted.append, lambda: None, settle)
    await live.offer(ONE, 1)
    offering = asyncio.create_task(live.offer(TWO, 2))
    while live.revision != snapshot.revision(TWO):  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert (live.digest, live.order) == (snapshot.digest(ONE), 1), "although requests run on the next by now"
    assert accepted == [snapshot.revision(ONE)]
    settled.set()
    assert await offering == snapshot.revision(TWO)
    assert (live.digest, live.order) == (snapshot.digest(TWO), 2)
    assert accepted == [snapshot.revision(ONE), snapshot.revision(TWO)]
