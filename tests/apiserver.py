"""A real Kubernetes API for tests: etcd, kube-apiserver and kube-controller-manager on free loopback ports, each a
process that is ended by its id. There is no node: pods are objects whose status a test writes.
"""

import contextlib
import secrets
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from tests.processes import free_port, wait_for

READY_S = 60.0


@dataclass(frozen=True)
class ApiServer:
    """Where it is, and how to get in as an administrator."""

    url: str
    ca: Path
    token: str
    folder: Path
    pids: Mapping[str, int]

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token or self.token}"}
        # The certificate is the server's own; it names 127.0.0.1.
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            verify=ssl.create_default_context(cafile=str(self.ca)),
            timeout=30,
        )

    def kubeconfig(self, name: str = "admin", token: str | None = None, namespace: str = "default") -> Path:
        """A file for kubectl and for the operator."""
        path = self.folder / f"{name}.kubeconfig"
        user = {"name": name, "user": {"token": token or self.token}}
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        context = {"cluster": "test", "user": name, "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [user],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        return path


@contextlib.contextmanager
def api_server(folder: Path, binaries: Mapping[str, Path]) -> Iterator[ApiServer]:
    """Up and ready in a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    _write_credentials(folder, token)
    etcd, peer, port, controllers = (free_port() for _ in range(4))
    url = f"https://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        pids: dict[str, int] = {}

        def start(name: str, *arguments: str) -> None:
            pids[name] = stack.enter_context(_process(folder / f"{name}.log", binaries[name], *arguments))

        start(
            "etcd",
            "--name=default",
            f"--data-dir={folder}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--log-level=error",
        )
        start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder}/certs",
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
        ca = folder / "certs" / "apiserver.crt"
        wait_for(ca.exists, "the API server's certificate", READY_S)
        server = ApiServer(url, ca, token, folder, pids)
        with server.client() as client:
            wait_for(lambda: client.get("/readyz").status_code == 200, "the API server is ready", READY_S)
        start(
            "kube-controller-manager",
            f"--kubeconfig={server.kubeconfig('controllers')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={controllers}",
            f"--service-account-private-key-file={folder}/sa.key",
            f"--root-ca-file={ca}",
        )
        with server.client() as client:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            wait_for(lambda: client.get(account).status_code == 200, "controllers run", READY_S)
        yield server


def _write_credentials(folder: Path, token: str) -> None:
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n', encoding="utf-8")
    (folder / "tokens.csv").chmod(0o600)
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    for command in (
        ["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"],
        ["openssl", "rsa", "-in", str(folder / "sa.key"), "-pubout", "-out", str(folder / "sa.pub")],
    ):
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed commands


@contextlib.contextmanager
def _process(log: Path, binary: Path, *arguments: str) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - what we built
            [str(binary), *arguments], stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
