"""The admin port before several workers, with workers that say what a test has them say."""

from collections.abc import Mapping

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tollway_dataplane.edge.workers import create_workers_app
from tollway_dataplane.telemetry.worker_metrics import WorkerMetrics
from tollway_dataplane.workers import WorkerAnswer


class Ports:
    """`answers` by worker and path; what is not in it is not answered."""

    def __init__(self, *answers: Mapping[str, WorkerAnswer]) -> None:
        self.numbers = range(1, len(answers) + 1)
        self._answers = answers
        self.asked: list[tuple[int, str, str, Mapping[str, str], bytes]] = []

    async def ask(
        self, number: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> WorkerAnswer | None:
        self.asked.append((number, method, path, headers, body))
        return self._answers[number - 1].get(path)


def answer(status: int, body: object) -> WorkerAnswer:
    return WorkerAnswer(status, {"content-type": "application/json"}, orjson.dumps(body))


def ready(revision: str) -> Mapping[str, WorkerAnswer]:
    return {"/readyz": answer(200, {"status": "ready", "revision": revision})}


def client(ports: Ports, *, is_draining: bool = False, asks_certificates: bool = False) -> httpx.AsyncClient:
    metrics = WorkerMetrics(len(ports.numbers))
    app = create_workers_app(ports, metrics, lambda: is_draining, asks_certificates=asks_certificates)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")


WAITS = {"/readyz": answer(503, {"status": "no snapshot yet", "revision": None})}


@pytest.mark.parametrize(
    ("workers", "status", "said"),
    [
        ((ready("a"), ready("a")), 200, {"status": "ready", "revision": "a"}),
        ((ready("a"), ready("b")), 200, {"status": "ready", "revision": None}),
        ((ready("a"), {}), 503, {"status": "worker 2: does not answer", "revision": None}),
        ((WAITS, ready("a")), 503, {"status": "worker 1: no snapshot yet", "revision": None}),
    ],
    ids=["all are", "a change is under way", "one is started", "one has none yet"],
)
async def test_it_is_ready_when_all_are(
    workers: tuple[Mapping[str, WorkerAnswer], ...], status: int, said: object
) -> None:
    async with client(Ports(*workers)) as http:
        reply = await http.get("/readyz")
    assert reply.status_code == status
    assert reply.json() == said


async def test_it_is_not_ready_any_more_while_they_drain() -> None:
    async with client(Ports(ready("a")), is_draining=True) as http:
        assert (await http.get("/readyz")).json()["status"] == "draining"
        assert (await http.get("/livez")).status_code == 200


async def test_metrics_say_whose_are_missing() -> None:
    page = WorkerAnswer(200, {}, b"# HELP asked_total Requests.\n# TYPE asked_total counter\nasked_total 3\n")
    async with client(Ports({"/metrics": page}, {})) as http:
        text = (await http.get("/metrics")).text
    samples = {
        (each.name, each.labels["worker"]): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }
    assert samples["asked_total", "1"] == 3
    assert ("asked_total", "2") not in samples
    assert (samples["tollway_worker_up", "1"], samples["tollway_worker_up", "2"]) == (1, 0)


async def test_a_notification_reaches_all_and_the_worst_answer_counts() -> None:
    runs, refuses = answer(200, {"digest": "a"}), answer(409, {"rejected": "damaged"})
    ports = Ports({"/snapshot": runs}, {"/snapshot": refuses})
    async with client(ports) as http:
        reply = await http.post("/snapshot", json={"revision": "a"}, headers={"authorization": "Bearer x"})
    assert (reply.status_code, reply.json()) == (409, {"rejected": "damaged"})
    assert [number for number, *_ in ports.asked] == [1, 2]
    assert all(headers["authorization"] == "Bearer x" for *_, headers, _ in ports.asked)
    assert all(body == b'{"revision":"a"}' for *_, body in ports.asked)
    async with client(Ports({"/snapshot": runs}, {})) as http:
        assert (await http.post("/snapshot", json={})).status_code == 503


async def test_what_one_does_for_all_is_done_by_the_first_that_answers() -> None:
    purged = WorkerAnswer(200, {"content-type": "application/json", "x-frame": "none"}, b"{}")
    ports = Ports({}, {"/purge": purged}, {"/purge": purged})
    async with client(ports) as http:
        reply = await http.post("/purge", json={"tenant": "acme"})
        assert (reply.status_code, reply.headers["x-frame"]) == (200, "none")
        assert [number for number, *_ in ports.asked] == [1, 2]
        assert (await http.get("/console")).status_code == 503
        assert (await http.post("/purge", content=b"x" * 5_000)).status_code == 413
        assert len(ports.asked) == 5, "what is too large is passed on to nobody"


async def test_without_a_certificate_only_probes_and_metrics_are_shown() -> None:
    ports = Ports(ready("a"))
    async with client(ports, asks_certificates=True) as http:
        assert (await http.get("/readyz")).status_code == 200
        before = len(ports.asked)
        assert (await http.post("/purge", json={"tenant": "acme"})).status_code == 403
        assert len(ports.asked) == before
