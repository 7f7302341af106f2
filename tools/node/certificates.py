"""Who is who on the node: an authority of its own, the API server's certificate, the key that signs the tokens of
ServiceAccounts, who it is to those that serve a part of its API, and one administrator.
"""

import secrets
import subprocess
from pathlib import Path

import yaml

from tools.node.layout import ADDRESS, API_SERVICE, API_URL, Layout

_DAYS = "30"


def write_credentials(layout: Layout) -> None:
    """New ones at every start; nothing outlives the node."""
    folder = layout.certificates
    folder.mkdir(parents=True, mode=0o700)
    _openssl("genrsa", "-out", folder / "sa.key", "2048")
    _openssl("rsa", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub")
    authority = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=tollway-node")
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, *authority)
    names = f"subjectAltName=IP:{ADDRESS},IP:{API_SERVICE},IP:127.0.0.1,DNS:kubernetes.default.svc\n"
    _write_signed(folder, "apiserver", f"{names}extendedKeyUsage=serverAuth\n")
    _write_signed(folder, "front-proxy", "extendedKeyUsage=clientAuth\n")
    token = secrets.token_hex(16)
    _write_private(folder / "tokens.csv", f'{token},admin,admin,"system:masters"\n')
    _write_private(layout.kubeconfig, yaml.safe_dump(_kubeconfig(folder / "ca.crt", token)))


def _write_signed(folder: Path, name: str, extensions: str) -> None:
    """A key, and a certificate of our authority."""
    request, said = folder / f"{name}.csr", folder / f"{name}.extensions"
    key = ("-keyout", folder / f"{name}.key", "-out", request)
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", *key)
    said.write_text(extensions, encoding="utf-8")
    signer = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial")
    out = ("-extfile", said, "-out", folder / f"{name}.crt")
    _openssl("x509", "-req", "-in", request, "-days", _DAYS, *signer, *out)


def _kubeconfig(authority: Path, token: str) -> dict[str, object]:
    name = "tollway-node"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": API_URL, "certificate-authority": str(authority)}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
        "current-context": name,
    }


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
