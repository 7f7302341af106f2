"""Whole data planes in a cluster: told of a snapshot, running it, and on their own when nobody is there."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
import redis

from tests import loopback
from tests.dataplanes import ACME_KEY, Setup
from tests.installation import NAMESPACE, Installation
from tests.processes import Process, forked, wait_for
from tests.servers import Provider
from tollway_api import messages, parts
from tollway_api.conditions import moment
from tollway_api.messages import Notify
from tollway_operator.objects import PURGE_ANNOTATION

AUTH = {"authorization": f"Bearer {ACME_KEY}"}


class DataPlane:
    def __init__(self, process: Process, url: str, admin_url: str) -> None:
        self.process, self.url, self.admin_url = process, url, admin_url

    @property
    def revision(self) -> str | None:
        return loopback.get(f"{self.admin_url}/readyz").json()["revision"]  # type: ignore[no-any-return]  # JSON is anything

    def ask(self, prompt: str) -> httpx.Response:
        return loopback.post(f"{self.url}/chat", json={"prompt": prompt}, headers=AUTH, timeout=30)


@contextlib.contextmanager
def dataplane(installation: Installation, name: str, address: str, **settings: str) -> Iterator[DataPlane]:
    """A process and the Pod object that stands for it, ready when it says so."""
    with (
        process(installation, name, address, **settings) as running,
        installation.pod(name, address, ready=False),
    ):
        wait_for(lambda: loopback.get(f"{running.admin_url}/readyz").status_code == 200, f"{name} is ready")
        installation.set_ready(name, address)
        yield running


@contextlib.contextmanager
def process(installation: Installation, name: str, address: str, **settings: str) -> Iterator[DataPlane]:
    folder = installation.folder / name
    folder.mkdir(exist_ok=True)
    installation.mount(folder)
    port = installation.admin_port
    env = {
        "KUBECONFIG": str(installation.server.kubeconfig(name, installation.token("tollway-dataplane"))),
        "TOLLWAY_CACHE_REDIS_URL": installation.cache.url,
        "TOLLWAY_LEDGER_REDIS_URL": installation.ledger.url,
        "TOLLWAY_SNAPSHOT_SECRET": f"{NAMESPACE}/tollway-snapshot",
        "TOLLWAY_SNAPSHOT_DIR": str(folder / "snapshot"),
        "TOLLWAY_ADMIN_TOKEN_DIR": str(folder / "token"),
        "TOLLWAY_LISTEN": f"{address}:{port + 1}",
        "TOLLWAY_ADMIN_LISTEN": f"{address}:{port}",
        "TOLLWAY_CACHE_READ_DEADLINE_S": "1",
        "TOLLWAY_ALLOW_ENDPOINTS": "127.0.0.0/8",
        **{f"TOLLWAY_{key.upper()}": value for key, value in settings.items()},
    }
    with forked(installation.folder / f"{name}.log", "tollway_dataplane", env) as process:
        running = DataPlane(process, f"http://{address}:{port + 1}", f"http://{address}:{port}")
        wait_for(lambda: loopback.get(f"{running.admin_url}/livez").status_code == 200, "it lives")
        yield running


def test_a_change_reaches_every_pod_and_a_request_in_flight_keeps_what_it_began_with(
    installation: Installation, setup: Setup, cheap: Provider
) -> None:
    setup = setup.but(cheap_model={"timeout": "2s"})
    with installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        with (
            dataplane(installation, "dp-1", "127.0.2.1") as one,
            dataplane(installation, "dp-2", "127.0.2.2") as two,
        ):
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            first = one.ask("What is a fjord?")
            assert first.headers["x-tollway-revision"] == one.revision == two.revision
            hit = two.ask("What is a fjord?")
            assert hit.headers["x-tollway-source"] == "exact"

            slow: list[httpx.Response] = []
            cheap.fail("stall", times=1)  # for two seconds; then the rich model answers
            asking = Thread(target=lambda: slow.append(one.ask("What is a delta?")))
            asking.start()
            wait_for(lambda: cheap.total == 2, "the slow request is under way")
            before = one.revision
            edited = setup.but(acme={"limits": [{"name": "one", "unit": "Requests", "amount": "1"}]})
            installation.apply(*edited.objects())
            installation.until("TenantBudget", "acme", "Programmed", "Programmed")
            assert one.revision == two.revision != before
            asking.join()
            assert slow[0].status_code == 200
            assert slow[0].headers["x-tollway-revision"] == before
            status = installation.get("SemanticCacheIndex", "answers")
            wait_for(
                lambda: installation.get("SemanticCacheIndex", "answers")["status"]["hitRatio"] == "0.33",
                f"the hit ratio is shown: {status['status']}",
            )


def test_a_request_in_flight_leaves_nothing_in_an_index_that_was_deleted_meanwhile(
    installation: Installation, setup: Setup, cheap: Provider
) -> None:
    setup = setup.but(cheap_model={"timeout": "3s"})
    with (
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        with dataplane(installation, "dp-1", "127.0.2.1") as one:
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            assert one.ask("What is a fjord?").headers["x-tollway-source"] == "live"
            wait_for(lambda: bool(client.keys("tollway:1:[ev]*")), "it is remembered")
            slow: list[httpx.Response] = []
            cheap.fail("stall", times=1)  # then the rich model answers
            asking = Thread(target=lambda: slow.append(one.ask("What is a delta?")))
            asking.start()
            wait_for(lambda: cheap.total == 2, "the slow request is under way")
            installation.delete_and_wait("SemanticCacheIndex", "answers")
            assert asking.is_alive()
            asking.join()
            assert slow[0].status_code == 200
            metrics = loopback.get(f"{one.admin_url}/metrics").text
            assert 'outcome="IndexGone"' in metrics, "its answer was not kept"
            assert client.keys("tollway:1:[ev]*") == []
            installation.apply(*setup.objects())
            installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")
            again = one.ask("What is a fjord?")
            assert again.headers["x-tollway-source"] == "live", "nothing is remembered of the one before"


def test_a_purge_at_one_pod_is_confirmed_by_every_one_in_the_status(
    installation: Installation, setup: Setup
) -> None:
    def last_purge() -> dict[str, object]:
        status: dict[str, object] = installation.get("SemanticCacheIndex", "answers")["status"]
        said = status.get("lastPurge", {})
        assert isinstance(said, dict)
        return said

    with installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        with (
            dataplane(installation, "dp-1", "127.0.2.1") as one,
            dataplane(installation, "dp-2", "127.0.2.2") as two,
        ):
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            one.ask("What is a fjord?")
            wait_for(
                lambda: two.ask("What is a fjord?").headers["x-tollway-source"] == "exact",
                "it is remembered, which happens behind the reply",
            )
            assert last_purge() == {}
            token = (installation.folder / "dp-1" / "token" / "token").read_text(encoding="utf-8")
            known = {"authorization": f"Bearer {token}"}
            url = f"{one.admin_url}{messages.PURGE_PATH}"
            assert loopback.post(url, json={"tenant": "acme"}, headers=known).status_code == 200
            wait_for(lambda: last_purge().get("forgotten") == 2, "both say so")
            said = last_purge()
            assert (said["tenant"], said["ready"], said.get("waitingFor", [])) == ("acme", 2, [])
            assert two.ask("What is a fjord?").headers["x-tollway-source"] == "live"
            two.process.process.send_signal(signal.SIGSTOP)
            assert loopback.post(url, json={"index": "default/answers"}, headers=known).status_code == 200
            wait_for(lambda: last_purge().get("waitingFor") == ["dp-2"], "one does not answer")
            two.process.process.send_signal(signal.SIGCONT)
            wait_for(lambda: last_purge().get("forgotten") == 2, "now it does")
            assert last_purge()["tenant"] == ""


def test_a_purge_may_be_asked_for_on_the_index_and_is_done_once(
    installation: Installation, setup: Setup
) -> None:
    def last_purge() -> dict[str, object]:
        status: dict[str, object] = installation.get("SemanticCacheIndex", "answers")["status"]
        said = status.get("lastPurge", {})
        assert isinstance(said, dict)
        return said

    with installation.operator() as operator:
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        with dataplane(installation, "dp-1", "127.0.2.1") as one:
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            one.ask("What is a fjord?")
            assert one.ask("What is a fjord?").headers["x-tollway-source"] == "exact"
            index = installation.get("SemanticCacheIndex", "answers")
            # One that makes no sense asks for nothing.
            installation.kubectl("annotate", "sci", "answers", f"{PURGE_ANNOTATION}=soon")
            now = moment(int(time.time() * 1_000))
            installation.kubectl("annotate", "--overwrite", "sci", "answers", f"{PURGE_ANNOTATION}={now}")
            wait_for(lambda: last_purge().get("forgotten") == 1, "it is done")
            assert one.ask("What is a fjord?").headers["x-tollway-source"] == "live"
            at = last_purge()["at"]
            assert str(at) >= now
            wait_for(lambda: operator.logged('"event":"purged"'), "the operator says so")
            assert one.ask("What is a fjord?").headers["x-tollway-source"] == "exact"
        before = installation.get("SemanticCacheIndex", "answers")["metadata"]["generation"]
        with dataplane(installation, "dp-2", "127.0.2.2") as two:
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
            assert two.ask("What is a fjord?").headers["x-tollway-source"] == "exact"
            assert (last_purge()["at"], before) == (at, index["metadata"]["generation"])
            assert operator.process.output.count('"event":"purged"') == 1


def test_a_pod_is_ready_with_its_first_valid_snapshot_and_not_before(
    installation: Installation, setup: Setup
) -> None:
    installation.apply(*setup.objects())
    with process(installation, "dp-1", "127.0.2.1") as one:
        waiting = loopback.get(f"{one.admin_url}/readyz")
        assert waiting.status_code == 503
        assert waiting.json() == {"status": "no snapshot yet", "revision": None}
        assert one.ask("What is a fjord?").status_code == 503
        damaged, _ = parts.split(b"{}", 1, 1, "a")
        head = {parts.HEAD: parts.encode_head(damaged), parts.FIRST_PART: b"damaged"}
        installation.kubectl("create", "secret", "generic", "-n", NAMESPACE, "tollway-snapshot")
        installation.write_snapshot(head)
        wait_for(lambda: "are damaged" in one.process.output, "a damaged one is refused")
        assert loopback.get(f"{one.admin_url}/readyz").status_code == 503
        with installation.operator():
            wait_for(lambda: loopback.get(f"{one.admin_url}/readyz").status_code == 200, "it is ready")
            published = installation.head()
            assert published is not None
            wait_for(lambda: one.revision == installation.head().revision, "it says which it runs")  # type: ignore[union-attr]  # there is one by now
            assert f'revision="{one.revision}"' in loopback.get(f"{one.admin_url}/metrics").text
            assert one.ask("What is a fjord?").headers["x-tollway-revision"] == one.revision


def test_a_pod_starts_from_what_is_mounted_while_the_cluster_is_away(
    installation: Installation, setup: Setup
) -> None:
    with installation.light_pod("dp-0"), installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
    head = installation.head()
    assert head is not None
    dead = "https://127.0.0.1:9"
    server = installation.server
    with pytest.MonkeyPatch.context() as patch:
        original = type(server).kubeconfig
        patch.setattr(
            type(server), "kubeconfig", lambda self, name, token=None: original(self, name, token, dead)
        )
        with dataplane(installation, "dp-1", "127.0.2.1", snapshot_poll_s="0.5") as one:
            assert one.revision == head.revision
            assert one.ask("What is a fjord?").status_code == 200
            # And it says why it does not know better.
            wait_for(lambda: "Secret tollway-snapshot: " in one.process.output, "the log says so")


def test_the_admin_port_takes_notifications_from_who_knows_the_token_alone(
    installation: Installation, setup: Setup
) -> None:
    with installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Programmed", "NoDataPlane")
        with dataplane(installation, "dp-1", "127.0.2.1") as one:
            body = messages.NOTIFY.dump_json(Notify("0" * 12, "0" * 64))
            url = f"{one.admin_url}{messages.PATH}"
            folder = installation.folder / "dp-1" / "token"
            token = (folder / "token").read_text(encoding="utf-8")
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": token}):
                assert loopback.post(url, content=body, headers=headers).status_code == 401
            known = {"authorization": f"Bearer {token}"}
            refused = loopback.post(url, content=body, headers=known)
            assert refused.status_code == 409
            assert refused.json()["rejected"] == "the newest snapshot here is not 000000000000"
            assert refused.json()["revision"] == one.revision
            assert loopback.post(url, content=b"{}", headers=known).status_code == 400
            assert loopback.post(url, content=b"x" * 5_000, headers=known).status_code == 413
            assert loopback.get(url, headers=known).status_code == 405
            assert loopback.post(f"{one.url}{messages.PATH}", content=body, headers=known).status_code == 404
            # While it is rotated, two are valid.
            (folder / "next").write_text("another-token", encoding="utf-8")
            for valid in (token, "another-token"):
                reply = loopback.post(url, content=body, headers={"authorization": f"Bearer {valid}"})
                assert reply.status_code == 409
            one.ask("What is a fjord?")
            wait_for(lambda: '"tenant":"acme"' in one.process.output, "the request is logged")
            for place in (one.process.output, loopback.get(f"{one.admin_url}/metrics").text):
                for private in (token, "another-token", ACME_KEY, "fjord"):
                    assert private not in place


def test_a_damaged_snapshot_is_refused_and_the_last_good_one_stays(
    installation: Installation, setup: Setup, tmp_path: Path
) -> None:
    with installation.light_pod("dp-0"), installation.operator():
        installation.apply(*setup.objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
    with dataplane(installation, "dp-1", "127.0.2.1", snapshot_poll_s="0.3") as one:
        good = one.revision
        later, (piece,) = parts.split(b'{"schema_version": 99}', 2**62, 1, "a")
        installation.write_snapshot({parts.HEAD: parts.encode_head(later), parts.FIRST_PART: piece})
        wait_for(lambda: "snapshot rejected" in one.process.output, "it is refused")
        installation.write_snapshot({parts.HEAD: parts.encode_head(later), parts.FIRST_PART: b"damaged"})
        wait_for(lambda: "are damaged" in one.process.output, "this too")
        assert one.revision == good
        assert one.ask("What is a fjord?").status_code == 200
