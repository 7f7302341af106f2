"""Watches our kinds and Secrets through every test with an API server, as a bystander, and says what no test should
ever see: an `observedGeneration` that goes back or speaks of what is not there yet, and a pod that runs what was not
compiled from accepted objects.
"""

import base64
import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

from tests.apiserver import ApiServer
from tests.recompiling import Seen, unexplained
from tollway_api import snapshot
from tollway_api.crds import DEFINITIONS
from tollway_api.inventory import RawObject, SecretKey
from tollway_api.meta import API_VERSION, GROUP, VERSION, Identity
from tollway_api.snapshot import Snapshot

_WATCH_S: Final = 25  # less than the client waits for a line
_PAUSE_S: Final = 0.2
Object = tuple[str, str, str]  # kind, namespace, name
See = Callable[[dict[str, Any]], None]


class Witness:
    """Make one with `witnessing`. What it has seen is kept for the run."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._observed: dict[tuple[str, str], int] = {}  # by uid and condition
        self._generations: dict[Object, int] = defaultdict(int)  # the newest ever seen
        self._verdicts: dict[tuple[Object, int], set[str]] = defaultdict(set)  # Accepted, in time
        self._broken: list[str] = []
        self._bodies: dict[Identity, dict[tuple[str, int, str], RawObject]] = defaultdict(
            dict
        )  # by uid, generation, and labels, which change no generation
        self._secrets: dict[SecretKey, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def begin(self) -> None:
        """Objects of earlier tests are none of the next one's."""
        with self._lock:
            self._bodies.clear()
            self._secrets.clear()

    def broken(self) -> list[str]:
        """What has been seen since it was asked last."""
        with self._lock:
            broken, self._broken = self._broken, []
        return broken

    def not_compiled(self, served: Snapshot, digest: str) -> list[str]:
        """Why a snapshot that a pod ran is not one that was compiled from accepted objects."""
        found = []
        if snapshot.digest(snapshot.encode(served)) != digest:
            found.append(f"its digest is not {digest}")
        with self._lock:
            for source in served.sources:
                origin = (source.kind, source.namespace, source.name)
                if source.generation > self._generations[origin]:
                    found.append(f"{origin} never had generation {source.generation}")
                # One that was refused for another's sake may be accepted when that has gone.
                if self._verdicts.get((origin, source.generation)) == {"False"}:
                    found.append(f"{origin} was not accepted in generation {source.generation}")
            bodies = {identity: list(each.values()) for identity, each in self._bodies.items()}
            secrets = {
                where: {key: set(each) for key, each in held.items()} for where, held in self._secrets.items()
            }
        return [*found, *unexplained(served, Seen(bodies, secrets))]

    def follow_kind(self, kind: str, plural: str) -> None:
        self._follow(f"/apis/{GROUP}/{VERSION}/{plural}", lambda body: self._see(kind, body))

    def follow_secrets(self) -> None:
        self._follow("/api/v1/secrets", self._see_secret)

    def _follow(self, url: str, see: See) -> None:
        """Until it is told to stop. Whatever happens to the API server, it begins anew."""
        version = ""
        with self._server.client() as client:
            while not self._stop.is_set():
                try:
                    version = (
                        self._watch(client, url, version, see) if version else self._list(client, url, see)
                    )
                except (httpx.HTTPError, ValueError):
                    version = ""
                if not version:
                    time.sleep(_PAUSE_S)

    def stop(self) -> None:
        self._stop.set()

    def _list(self, client: httpx.Client, url: str, see: See) -> str:
        reply = client.get(url).raise_for_status().json()
        for body in reply["items"]:
            see(body)
        return str(reply["metadata"]["resourceVersion"])

    def _watch(self, client: httpx.Client, url: str, version: str, see: See) -> str:
        """The version to go on from, or "" to begin anew."""
        asked = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(_WATCH_S)}
        with client.stream("GET", url, params=asked) as lines:
            if lines.status_code != httpx.codes.OK:
                return ""
            for line in lines.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                see(event["object"])
                version = event["object"]["metadata"]["resourceVersion"]
        return version

    def _see(self, kind: str, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        origin, generation = (kind, metadata["namespace"], metadata["name"]), metadata["generation"]
        with self._lock:
            self._generations[origin] = max(self._generations[origin], generation)
            # In a list they do not say what they are.
            whole = {"apiVersion": API_VERSION, "kind": kind, **body}
            labels = json.dumps(metadata.get("labels"), sort_keys=True)
            self._bodies[Identity(*origin)].setdefault((metadata["uid"], generation, labels), whole)
            for condition in body.get("status", {}).get("conditions", []):
                type_, now = condition["type"], condition["observedGeneration"]
                before = self._observed.get((metadata["uid"], type_), 0)
                if now < before:
                    self._broken.append(f"{type_} of {origin} went back from generation {before} to {now}")
                if now > generation:
                    self._broken.append(
                        f"{type_} of {origin} speaks of {now}, and {generation} is the newest"
                    )
                self._observed[metadata["uid"], type_] = now
                if type_ == "Accepted":
                    self._verdicts[origin, now].add(condition["status"])

    def _see_secret(self, body: dict[str, Any]) -> None:
        where = body["metadata"]["namespace"], body["metadata"]["name"]
        with self._lock:
            for key, value in body.get("data", {}).items():
                with contextlib.suppress(UnicodeDecodeError):
                    self._secrets[where][key].add(base64.b64decode(value).decode())


@contextlib.contextmanager
def witnessing(server: ApiServer) -> Iterator[Witness]:
    witness = Witness(server)
    threads = [
        threading.Thread(target=witness.follow_kind, args=(each.kind, each.plural)) for each in DEFINITIONS
    ]
    threads.append(threading.Thread(target=witness.follow_secrets))
    for thread in threads:
        thread.start()
    try:
        yield witness
    finally:
        witness.stop()
        server.stop_all()  # which ends the watches; nobody needs it any more
        for thread in threads:
            thread.join()
