"""An authority of a test's own, and what it vouches for: a server on loopback, and a client."""

import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MOUNTED = ("tls.crt", "tls.key", "ca.crt")
_ON_LOOPBACK = "subjectAltName=IP:127.0.0.1"


@dataclass(frozen=True)
class Authority:
    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Authority":
        folder.mkdir(parents=True)
        made = cls(folder)
        _openssl("req", "-x509", *_new_key(made.key("ca")), "-subj", "/CN=ca", "-out", made.certificate("ca"))
        for name in ("server", "client"):
            signed = ("-CA", made.certificate("ca"), "-CAkey", made.key("ca"))
            _openssl(
                "req", "-x509", *_new_key(made.key(name)), *signed, "-subj", f"/CN={name}", "-addext", _ON_LOOPBACK,
                "-addext", "basicConstraints=critical,CA:FALSE", "-out", made.certificate(name),
            )  # fmt: skip
        return made

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def issue(self, mounted: Path, name: str = "tollway-admin", days: int = 2) -> None:
        """What a kubelet mounts of a Secret of cert-manager's, in place of what was there: all of it at once."""
        version = Path(tempfile.mkdtemp(dir=mounted))
        request, (certificate, key, authority) = version / "csr", (version / each for each in MOUNTED)
        _openssl(
            "req",
            *_new_key(key)[:-2],
            "-subj",
            "/CN=x",
            "-addext",
            f"subjectAltName=DNS:{name}",
            "-out",
            request,
        )
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"),
            "-copy_extensions", "copy", "-days", str(days), "-out", certificate,
        )  # fmt: skip
        shutil.copyfile(self.certificate("ca"), authority)
        for each in MOUNTED:
            if not (mounted / each).is_symlink():
                (mounted / each).symlink_to(Path("..data", each))
        (mounted / "..new").symlink_to(version.name)
        (mounted / "..new").rename(mounted / "..data")

    def server(self, *, asks_clients: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.certificate("ca"))
        context.load_cert_chain(self.certificate("server"), self.key("server"))
        context.verify_mode = ssl.CERT_REQUIRED if asks_clients else ssl.CERT_NONE
        return context


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        path,
        "-days",
        "2",
    )


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)  # noqa: S603, S607 - fixed commands
