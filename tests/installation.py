"""Tollway in a cluster, for tests: an operator as a process with its own ServiceAccount, and data planes that are
either whole processes or the admin port alone, which reads, checks and acknowledges snapshots for real and serves no
requests. Either is made known as a Pod, whose status the test writes, since there is no node.
"""

import asyncio
import base64
import contextlib
import io
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import lightkube
import prometheus_client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.decoders import decode_object
from lightkube.resources.core_v1 import Secret
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from tests import charts, loopback
from tests.apiserver import ApiServer, server_side_apply
from tests.conditions import condition_in, until_reason
from tests.kubectl import Kubectl
from tests.processes import Process, ProcessOf, forked, free_port, wait_for
from tests.servers import served
from tollway_api import parts
from tollway_api.crds import DEFINITIONS
from tollway_api.parts import Head
from tollway_api.snapshot import Snapshot, Source
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.adapters.snapshot_secrets import SnapshotSecrets
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.edge.admin import Admin, create_admin_app
from tollway_dataplane.following import Following
from tollway_dataplane.live import Live
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.settings import read_tokens

NAMESPACE = charts.NAMESPACE
SNAPSHOT = f"/api/v1/namespaces/{NAMESPACE}/secrets/tollway-snapshot"
MERGE = {"content-type": "application/merge-patch+json"}
LABELS = {"app.kubernetes.io/name": "tollway", "app.kubernetes.io/component": "dataplane"}
PLURALS = {definition.kind: definition.plural for definition in DEFINITIONS}


@dataclass
class LightPod:
    """The admin port of a data plane."""

    name: str
    address: str
    live: Live
    following: Following

    url: str
    loop: asyncio.AbstractEventLoop

    @property
    def revision(self) -> str | None:
        return self.live.revision

    def refresh(self) -> None:
        """What it does by itself now and then."""
        asyncio.run_coroutine_threadsafe(self.following.refresh(), self.loop).result(20)


# The first one of a kind is not safe from threads, such as those of two light pods: msgspec ends the process.
decode_object(b"{}", Secret)


@dataclass
class Installation:
    server: ApiServer
    admin: httpx.Client
    folder: Path
    cache: EmbeddedRedis
    ledger: EmbeddedRedis
    admin_port: int = field(default_factory=free_port)
    api_url: str | None = None  # where the operator finds the API server, when it is not there itself
    process: ProcessOf = forked  # how the operator is begun
    served: list[tuple[Snapshot, str]] = field(default_factory=list)  # what light pods ran, with its digest
    _pods: int = 0
    _watched: set[str] = field(default_factory=set)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.server.kubeconfig())

    def apply(self, *objects: Mapping[str, Any]) -> None:
        for each in objects:
            metadata, kind = each["metadata"], each["kind"]
            if kind not in {*PLURALS, "Secret"}:
                self.kubectl.apply(each)
                continue
            body = dict(each)
            if texts := body.pop("stringData", None):
                body["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            url = _url(kind, metadata["name"], metadata.get("namespace", "default"))
            _apply_as_kubectl(self.admin, url, body)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        reply = self.admin.get(_url(kind, name, namespace))
        return dict(reply.json()) if reply.is_success else {}

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        reply = self.admin.delete(_url(kind, name, namespace))
        assert reply.is_success, reply.text

    def delete_and_wait(self, kind: str, name: str, namespace: str = "default") -> None:
        """As `kubectl delete`, which ends when it is gone."""
        self.delete(kind, name, namespace)
        gone = _url(kind, name, namespace)
        wait_for(lambda: self.admin.get(gone).status_code == httpx.codes.NOT_FOUND, f"{name} is gone", 30)

    def patch(self, url: str, body: Mapping[str, Any]) -> None:
        reply = self.admin.patch(url, content=json.dumps(body), headers=MERGE)
        assert reply.is_success, reply.text

    def condition(self, kind: str, name: str, type_: str, namespace: str = "default") -> dict[str, Any]:
        """One that speaks of the newest generation; empty when there is none yet."""
        return condition_in(self.get(kind, name, namespace), type_)

    def until(
        self, kind: str, name: str, type_: str, reason: str, namespace: str = "default"
    ) -> dict[str, Any]:
        return until_reason(lambda: self.get(kind, name, namespace), type_, reason, 30)

    def until_ready(self) -> None:
        """Of what `Setup` describes one of each kind."""
        for kind, name in (
            ("RoutingPolicy", "chat"),
            ("TenantBudget", "acme"),
            ("SemanticCacheIndex", "answers"),
        ):
            self.until(kind, name, "Ready", "Ready")

    def sources(self) -> list[Source]:
        """Of a snapshot that is compiled from everything there is."""
        found: list[Source] = []
        for kind, plural in sorted(PLURALS.items()):
            listed = self.admin.get(f"/apis/tollway.dev/v1alpha1/{plural}").raise_for_status().json()["items"]
            by_name = (each["metadata"] for each in listed)
            found += [Source(kind, at["namespace"], at["name"], at["generation"]) for at in by_name]
        return found

    def head(self) -> Head | None:
        reply = self.admin.get(SNAPSHOT)
        return parts.decode_head(_data(reply.json())[parts.HEAD]) if reply.is_success else None

    def mount(self, folder: Path) -> None:
        """The Secrets of a pod, as the kubelet mounts them."""
        for secret, name in (("tollway-snapshot", "snapshot"), ("tollway-admin-token", "token")):
            (folder / name).mkdir(exist_ok=True)
            reply = self.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret}")
            for key, value in _data(reply.json()).items() if reply.is_success else ():
                (folder / name / key).write_bytes(value)

    def snapshot(self) -> dict[str, bytes]:
        """The first of its Secrets, as it stands."""
        return _data(self.admin.get(SNAPSHOT).json())

    def fix_snapshot(self) -> None:
        """So that it may be read and deleted, and not written."""
        self.patch(SNAPSHOT, {"immutable": True})

    def write_snapshot(self, data: Mapping[str, bytes]) -> None:
        """What nobody should do by hand."""
        self.patch(SNAPSHOT, {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}})

    @contextlib.contextmanager
    def operator(
        self, name: str = "operator-1", module: str = "tollway_operator", **settings: str
    ) -> Iterator["Operator"]:
        port = free_port()
        env = {
            "KUBECONFIG": str(self.server.kubeconfig(name, self.token("tollway-operator"), self.api_url)),
            "TOLLWAY_CACHE_REDIS_URL": self.cache.url,
            "TOLLWAY_LEDGER_REDIS_URL": self.ledger.url,
            "TOLLWAY_IDENTITY": name,
            "TOLLWAY_NAMESPACE": NAMESPACE,
            "TOLLWAY_POD_ADMIN_PORT": str(self.admin_port),
            "TOLLWAY_LISTEN_HOST": "127.0.0.1",
            "TOLLWAY_LISTEN_PORT": str(port),
            "TOLLWAY_RESYNC_S": "2",
            "TOLLWAY_USAGE_REFRESH_S": "0.5",
            "TOLLWAY_POD_POLL_S": "1",
            "TOLLWAY_SECRET_REFRESH_S": "2",
            "TOLLWAY_ALLOW_ENDPOINTS": "127.0.0.0/8",
            **{f"TOLLWAY_{key.upper()}": value for key, value in settings.items()},
        }
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        with self.process(log, module, env) as process:
            operator = Operator(process, f"http://127.0.0.1:{port}")
            try:
                yield operator
            except BaseException:
                sys.stderr.write(operator.process.output[-8_000:])
                raise

    def token(self, account: str) -> str:
        url = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
        reply = self.admin.post(url, json={"spec": {"expirationSeconds": 7200}})
        assert reply.is_success, reply.text
        return str(reply.json()["status"]["token"])

    @contextlib.contextmanager
    def light_pod(
        self, name: str, *, ready: bool = True, wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app
    ) -> Iterator[LightPod]:
        """Serves on the admin port of a loopback address of its own."""
        self._pods += 1
        address = f"127.0.1.{self._pods}"
        config = KubeConfig.from_file(self.server.kubeconfig("dataplane", self.token("tollway-dataplane")))

        async def prepare(_: Snapshot) -> None:
            return None

        loops: list[asyncio.AbstractEventLoop] = []

        def ran(_: str) -> None:
            self.served.append((live.current().snapshot, live.digest or ""))

        live = Live(prepare, ran, lambda: None)
        tokens = self.folder / "tokens"

        def current_tokens() -> list[str]:
            # As the kubelet does, which mounts the Secret.
            reply = self.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/tollway-admin-token")
            tokens.mkdir(exist_ok=True)
            if reply.is_success:
                # At once, as the kubelet's links change, since other pods read it too.
                written = tokens.with_name(f"token-{name}")
                written.write_bytes(_data(reply.json())["token"])
                written.replace(tokens / "token")
            return read_tokens(tokens)

        with contextlib.ExitStack() as stack:
            client = lightkube.AsyncClient(config=config, trust_env=False)

            @contextlib.asynccontextmanager
            async def closing(_: object) -> AsyncIterator[None]:
                loops.append(asyncio.get_running_loop())
                yield
                await client.close()

            log = JsonLog(io.BytesIO())
            following = Following(live, [SnapshotSecrets(client, NAMESPACE, "tollway-snapshot")], log)
            forgetting = Forgetting(
                LocalNearCache(0), RedisForgetter(connect("redis://127.0.0.1:9", 0.1), 0.1), log
            )
            registry = prometheus_client.CollectorRegistry()
            admin = Admin(live, following, forgetting, registry, dict, lambda: False, current_tokens)
            app = Starlette(routes=[Mount("/", wrap(create_admin_app(admin)))], lifespan=closing)
            url = stack.enter_context(served(app, address, self.admin_port))
            wait_for(lambda: bool(loops), "the pod serves")
            stack.enter_context(self.pod(name, address, ready=ready))
            yield LightPod(name, address, live, following, url, loops[0])

    @contextlib.contextmanager
    def pod(self, name: str, address: str, *, ready: bool = True) -> Iterator[None]:
        """A Pod object at an address where something else listens."""
        url = f"/api/v1/namespaces/{NAMESPACE}/pods"
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": LABELS},
            "spec": {
                "containers": [{"name": "tollway", "image": "tollway"}],
                "terminationGracePeriodSeconds": 0,
            },
        }
        reply = self.admin.post(url, json=body)
        assert reply.is_success, reply.text
        self.set_ready(name, address, ready=ready)
        try:
            yield
        finally:
            self.admin.request("DELETE", f"{url}/{name}", params={"gracePeriodSeconds": "0"})

    def set_ready(self, name: str, address: str, *, ready: bool = True) -> None:
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }
        self.patch(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status", {"status": status})

    def take(self, role: str, rules: Callable[[Mapping[str, Any]], bool]) -> None:
        """Such rules of a role of the operator's, "clusterrole" or "role", until `prepare` gives them back."""
        where = {
            "clusterrole": f"clusterroles/tollway-operator-{NAMESPACE}",
            "role": f"namespaces/{NAMESPACE}/roles/tollway-operator",
        }
        url = f"/apis/rbac.authorization.k8s.io/v1/{where[role]}"
        standing = self.admin.get(url).raise_for_status().json()["rules"]
        left = [rule for rule in standing if not rules(rule)]
        assert left != standing
        self.patch(url, {"rules": left})

    def expire_lease(self) -> None:
        """As if it had run out, which takes a quarter of a minute."""
        url = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/tollway-operator"
        self.patch(url, {"spec": {"holderIdentity": ""}})

    def prepare(self) -> None:
        """Gives back what a test has taken."""
        prepare(self.admin)

    @contextlib.contextmanager
    def listed_namespaces(self, *namespaces: str) -> Iterator[None]:
        """The operator may see these alone, and those that it is let watch after."""
        for namespace in namespaces:
            self.let_watch(namespace)
        try:
            yield
        finally:
            for url, _ in _placed(charts.watching(*sorted(self._watched))):
                # Also of a namespace that is gone.
                reply = self.admin.delete(url)
                assert reply.is_success or reply.status_code == httpx.codes.NOT_FOUND, reply.text
            self._watched.clear()
            self.prepare()

    def let_watch(self, namespace: str) -> None:
        self._watched.add(namespace)
        _apply_all(self.admin, charts.watching(namespace))

    def clear(self) -> None:
        """Back to nothing, for the next test."""
        for kind, plural in PLURALS.items():
            base = f"/apis/tollway.dev/v1alpha1/{plural}"
            for item in self.admin.get(base).json().get("items", []):
                url = _url(kind, item["metadata"]["name"], item["metadata"]["namespace"])
                if item["metadata"].get("finalizers"):
                    self.admin.patch(url, content='{"metadata": {"finalizers": null}}', headers=MERGE)
                self.admin.request("DELETE", url)
        for plural in ("pods", "secrets"):
            self.admin.request(
                "DELETE", f"/api/v1/namespaces/{NAMESPACE}/{plural}", params={"gracePeriodSeconds": "0"}
            )
        self.admin.request("DELETE", "/api/v1/namespaces/default/secrets")
        self.admin.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")


@dataclass(frozen=True)
class Operator:
    process: Process
    url: str

    def logged(self, text: str) -> bool:
        return text in self.process.output

    def metrics(self) -> str:
        return loopback.get(f"{self.url}/metrics").text


def prepare(admin: httpx.Client) -> None:
    """Tollway's namespace and roles."""
    admin.post("/api/v1/namespaces", json={"metadata": {"name": NAMESPACE}})
    _apply_all(admin, charts.roles())
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    wait_for(lambda: admin.get(accounts).is_success, "the namespace is usable")


def _url(kind: str, name: str, namespace: str) -> str:
    group = "/apis/tollway.dev/v1alpha1" if kind in PLURALS else "/api/v1"
    return f"{group}/namespaces/{namespace}/{PLURALS.get(kind, f'{kind.lower()}s')}/{name}"


def _apply_all(admin: httpx.Client, rendered: list[dict[str, Any]]) -> None:
    for url, each in _placed(rendered):
        _apply_as_kubectl(admin, url, each)


def _placed(rendered: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects, and where each is."""
    for each in rendered:
        kind, metadata = each["kind"], each["metadata"]
        base = "/api/v1" if each["apiVersion"] == "v1" else f"/apis/{each['apiVersion']}"
        within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        yield f"{base}{within}/{kind.lower()}s/{metadata['name']}", each


def _apply_as_kubectl(admin: httpx.Client, url: str, body: Mapping[str, Any]) -> None:
    """Without the half second of a processor that kubectl takes."""
    server_side_apply(admin, url, body, "kubectl", fieldValidation="Strict")


def _data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in secret.get("data", {}).items()}
