"""What an index remembers goes when it is deleted, and not before, on a real API server."""

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dataplanes import Setup, secret
from tests.installation import Installation
from tests.processes import wait_for
from tollway_api.snapshot import Index
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")


def test_an_index_that_is_deleted_during_a_run_is_not_let_go_while_pods_still_run_what_names_it(
    installation: Installation, tmp_path: Path
) -> None:
    """A ledger that hangs keeps a run for seconds between what it publishes and what it deletes."""
    with EmbeddedRedis(RedisRole.LEDGER, tmp_path / "ledger") as ledger:
        installation.ledger = ledger
        with installation.light_pod("dp-1") as pod, installation.operator():
            installation.apply(*SETUP.objects())
            installation.until_ready()
            before = pod.revision
            os.kill(ledger.pid, signal.SIGSTOP)
            try:
                installation.apply(SETUP.but(policy={"priority": 7}).objects()[1])
                wait_for(lambda: pod.revision != before, "the run has published", 10)
                installation.delete("SemanticCacheIndex", "answers")
                wait_for(lambda: not installation.get("SemanticCacheIndex", "answers"), "it is let go", 30)
                assert pod.live.current().snapshot.indexes == {}
            finally:
                os.kill(ledger.pid, signal.SIGCONT)


@pytest.mark.parametrize("restarted", [False, True], ids=["the same operator", "the next operator"])
def test_a_new_embedding_whose_secret_comes_later_is_migrated_to_from_what_was_published_before(
    installation: Installation, restarted: bool
) -> None:
    outside = {
        "provider": "OpenAICompatible", "model": "m", "endpoint": "http://127.0.0.1:9/v1", "dimensions": 256,
        "credentialsRef": {"name": "later"},
    }  # fmt: skip

    def published() -> Mapping[str, Index]:
        return pod.live.current().snapshot.indexes

    with installation.light_pod("dp-1") as pod, ExitStack() as stack:
        operator = stack.enter_context(installation.operator("op-1"))
        installation.apply(*SETUP.objects())
        installation.until_ready()
        (before,) = published().values()
        installation.apply(SETUP.but(index={"embedding": outside}).objects()[0])
        wait_for(lambda: published() == {}, "it is left out", 20)
        said = installation.until("SemanticCacheIndex", "answers", "IndexReady", "NotResolved")
        assert f"version {before.version.name} is kept, and used again once" in said["message"]
        (version,) = installation.get("SemanticCacheIndex", "answers")["status"]["versions"]
        assert version["state"] == "Kept"
        if restarted:
            operator.process.stop(signal.SIGKILL)
            installation.expire_lease()
            stack.enter_context(installation.operator("op-2"))
        installation.apply(secret("later", "sk-1"))
        wait_for(lambda: published() != {}, "it is mended", 20)
        (after,) = published().values()
        assert after.version == before.version, "what is remembered is still found"
        wait_for(lambda: published()["default/answers"].beside is not None, "it is on its way", 20)
        assert published()["default/answers"].version == before.version
