"""A real Kubernetes API for tests: etcd, kube-apiserver and kube-controller-manager on free loopback ports, each a
process that is ended by its id. There is no node: pods are objects whose status a test writes.
"""

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests import loopback
from tests.processes import free_ports, wait_for

READY_S = 60.0
_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True)
class Audited:
    """One request, as the API server recorded it."""

    credential: str  # which token of the account
    verb: str
    group: str
    resource: str  # with its subresource
    namespace: str
    name: str
    status: int

    @property
    def writes(self) -> bool:
        return self.verb not in {"get", "list", "watch"}


@dataclass(frozen=True)
class ApiServer:
    """Where it is, and how to get in as an administrator."""

    url: str
    ca: Path
    token: str
    folder: Path
    etcd_url: str
    _commands: dict[str, list[str]]
    _processes: "dict[str, subprocess.Popen[bytes]]"

    def stop(self, name: str) -> None:
        """Ends one of its processes, without a chance to say goodbye."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def start(self, name: str, *arguments: str) -> None:
        """Starts one of its processes, again as it was unless it is told otherwise."""
        command = self._commands.setdefault(name, list(arguments))
        with (self.folder / f"{name}.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - what we built
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Memory for time, no threads that wait for work, and none that is interrupted for another's sake: a
                # third of what the tests take.
                env={**os.environ, "GOGC": "800", "GOMAXPROCS": "1", "GODEBUG": "asyncpreemptoff=1"},
            )

    def stop_all(self) -> None:
        """Nobody needs what they know any more, so they are not given the seconds that a good end takes."""
        for name in list(self._processes):
            self.stop(name)

    def wait_until_ready(self) -> None:
        with self.client() as client:
            wait_for(lambda: client.get("/readyz").status_code == 200, "the API server is ready", READY_S)

    def compact(self) -> None:
        """Has etcd forget what was before now, so that a watch from before it is told 410."""
        status = loopback.post(f"{self.etcd_url}/v3/maintenance/status", json={}).json()
        reply = loopback.post(
            f"{self.etcd_url}/v3/kv/compaction",
            json={"revision": status["header"]["revision"], "physical": True},
        )
        assert reply.is_success, reply.text

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def audited(self, since: int, account: str) -> list[Audited]:
        """What a ServiceAccount asked for, from a place in the log on."""
        with self.audit_log.open("rb") as log:
            log.seek(since)
            entries = [json.loads(line) for line in log if line.endswith(b"\n")]
        return [_audited(entry) for entry in entries if entry["user"]["username"].endswith(f":{account}")]

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token or self.token}"}
        # The certificate is the server's own; it names 127.0.0.1.
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            verify=ssl.create_default_context(cafile=str(self.ca)),
            timeout=30,
        )

    def kubeconfig(self, name: str = "admin", token: str | None = None, url: str | None = None) -> Path:
        """A file for kubectl and for the operator. `url` is that of something on the way to the server."""
        path = self.folder / f"{name}.kubeconfig"
        user = {"name": name, "user": {"token": token or self.token}}
        cluster = {"server": url or self.url, "certificate-authority": str(self.ca)}
        context = {"cluster": "test", "user": name, "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [user],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }
        # At once, since somebody may be reading it.
        unfinished = path.with_suffix(f".{threading.get_ident()}")
        unfinished.write_text(json.dumps(config), encoding="utf-8")  # that is YAML too, and sooner written
        unfinished.chmod(0o600)
        return unfinished.replace(path)


def server_side_apply(
    client: httpx.Client, url: str, body: Mapping[str, Any], manager: str, **parameters: str
) -> None:
    """As `kubectl apply --server-side --force-conflicts`, in the name of a field manager."""
    reply = client.patch(
        url,
        params={"fieldManager": manager, "force": "true", **parameters},
        content=json.dumps(body),
        headers={"content-type": "application/apply-patch+yaml"},
    )
    assert reply.is_success, reply.text


@contextlib.contextmanager
def api_server(folder: Path, binaries: Mapping[str, Path]) -> Iterator[ApiServer]:
    """Up and ready in a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    _write_credentials(folder, token)
    etcd, peer, port = free_ports(3)
    url = f"https://127.0.0.1:{port}"
    server = ApiServer(url, folder / "tls.crt", token, folder, f"http://127.0.0.1:{etcd}", {}, {})
    try:
        server.start(
            "etcd",
            str(binaries["etcd"]),
            "--name=default",
            f"--data-dir={folder}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={server.etcd_url}",
            f"--advertise-client-urls={server.etcd_url}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--log-level=error",
        )
        server.start(
            "kube-apiserver",
            str(binaries["kube-apiserver"]),
            f"--etcd-servers={server.etcd_url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={server.ca}",
            f"--tls-private-key-file={folder}/tls.key",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--authorization-mode=RBAC",
            f"--token-auth-file={folder}/tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.pub",
            f"--service-account-signing-key-file={folder}/sa.key",
            f"--audit-policy-file={folder}/audit-policy.yaml",
            f"--audit-log-path={folder}/audit.log",
            "--audit-log-mode=blocking",
        )
        server.wait_until_ready()
        server.start(
            "kube-controller-manager",
            str(binaries["kube-controller-manager"]),
            f"--kubeconfig={server.kubeconfig('controllers')}",
            "--leader-elect=false",
            "--secure-port=0",  # nobody asks it anything
            f"--service-account-private-key-file={folder}/sa.key",
            f"--root-ca-file={server.ca}",
            # Of some forty, those that tests are about: each has its own caches to keep up.
            "--controllers=namespace-controller,serviceaccount-controller",
        )
        with server.client() as client:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            wait_for(lambda: client.get(account).status_code == 200, "controllers run", READY_S)
        yield server
    finally:
        server.stop_all()


def _audited(entry: Mapping[str, Any]) -> Audited:
    at = entry.get("objectRef", {})
    resource = "/".join(filter(None, (at.get("resource", ""), at.get("subresource"))))
    return Audited(
        credential=next(iter(entry["user"].get("extra", {}).get(_CREDENTIAL, [""]))),
        verb=entry["verb"],
        group=at.get("apiGroup", ""),
        resource=resource or entry["requestURI"],
        namespace=at.get("namespace", ""),
        name=at.get("name", ""),
        status=entry.get("responseStatus", {}).get("code", 0),
    )


def _write_credentials(folder: Path, token: str) -> None:
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n', encoding="utf-8")
    (folder / "tokens.csv").chmod(0o600)
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        # What the operator and the data plane ask for; tests know what they ask for themselves.
        "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}],
    }
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    # Keys of elliptic curves: with RSA, the API server would spend a tenth of its time on signatures.
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    certificate = (
        "-x509",
        "-days",
        "7",
        "-subj",
        "/CN=tollway tests",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    )
    for command in (
        ["req", *curve, *certificate, "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"],
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{folder}/sa.key"],
        ["ec", "-in", f"{folder}/sa.key", "-pubout", "-out", f"{folder}/sa.pub"],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)  # noqa: S603, S607 - fixed commands
