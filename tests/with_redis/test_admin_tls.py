"""Mutual TLS at the admin port: a real data plane, and the operator's own client of it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tests.certificates import Authority
from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.dataplanes import until as soon
from tests.judges import until
from tests.loops import under_way
from tollway_api.parts import Head
from tollway_operator.admin_port import AdminPort
from tollway_operator.metrics import Metrics
from tollway_operator.notify import Notifier
from tollway_operator.reports import DataPlanePod, Report
from tollway_tls.certificates import NAME, client_certificates

TOKEN = "the-admin-token"
OPEN = ("/livez", "/readyz", "/metrics")
JSON = {"content-type": "application/json"}
ORDER = b'{"index": "default/answers"}'


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("certificates") / "theirs")


@dataclass(frozen=True)
class Mounts:
    """Of a data plane and of an operator, each by itself."""

    dataplane: Path
    operator: Path
    tokens: Path


@pytest.fixture
def mounts(tmp_path: Path, ours: Authority) -> Mounts:
    made = Mounts(tmp_path / "dataplane", tmp_path / "operator", tmp_path / "tokens")
    for each in (made.dataplane, made.operator, made.tokens):
        each.mkdir()
    ours.issue(made.dataplane)
    ours.issue(made.operator)
    (made.tokens / "token").write_text(TOKEN)
    return made


@pytest.fixture
async def gateway(start: Start, setup: Setup, mounts: Mounts) -> Running:
    return await start(setup, admin_tls_dir=mounts.dataplane, admin_token_dir=mounts.tokens)


def showing(folder: Path | None) -> ssl.SSLContext:
    """As somebody who believes any server, and shows what is in a folder."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if folder is not None:
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


async def said(gateway: Running, path: str, tls: ssl.SSLContext, token: str = TOKEN) -> int:
    method, headers = "GET" if path in OPEN else "POST", {"authorization": f"Bearer {token}", **JSON}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{gateway.admin_url}{path}", data=ORDER, headers=headers, ssl=tls) as response,
    ):
        return response.status


async def test_who_shows_no_certificate_sees_probes_and_metrics_and_nothing_else_whatever_they_know(
    gateway: Running,
) -> None:
    """Also what is added later, since the routes are asked of the application itself."""
    app, closed = gateway.dataplane.admin, []
    assert isinstance(app, Starlette)
    for route in app.routes:
        assert isinstance(route, Route)
        if route.path in OPEN:
            assert await said(gateway, route.path, showing(None)) == 200
        else:
            assert await said(gateway, route.path, showing(None)) == 403
            closed.append(route.path)
    assert {"/console", "/feedback", "/purge", "/snapshot"} <= set(closed)


async def test_a_certificate_does_not_stand_in_for_the_token_nor_another_name_for_ours(
    gateway: Running, mounts: Mounts, ours: Authority, tmp_path: Path
) -> None:
    assert await said(gateway, "/purge", showing(mounts.operator)) == 200
    assert await said(gateway, "/purge", showing(mounts.operator), "another") == 401
    somebody = tmp_path / "somebody"
    somebody.mkdir()
    ours.issue(somebody, f"not-{NAME}")
    assert await said(gateway, "/purge", showing(somebody)) == 403
    assert await said(gateway, "/readyz", showing(somebody)) == 200


@pytest.mark.parametrize("wrong", ["another authority's", "expired"])
async def test_a_certificate_that_is_not_good_is_worse_than_none(
    gateway: Running, ours: Authority, theirs: Authority, tmp_path: Path, wrong: str
) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    if wrong == "expired":
        ours.issue(shown, days=-1)
    else:
        theirs.issue(shown)
    for path in ("/purge", "/readyz"):
        with pytest.raises(aiohttp.ClientError):
            await said(gateway, path, showing(shown))
    assert await said(gateway, "/readyz", showing(None)) == 200, "nobody else is kept out by it"


async def test_who_does_not_encrypt_is_told_nothing(gateway: Running) -> None:
    plain = gateway.admin_url.replace("https", "http")
    with pytest.raises(aiohttp.ClientError):
        await gateway.http.get(f"{plain}/readyz")


async def test_a_session_is_never_resumed_since_its_certificate_would_not_be_looked_at_again(
    gateway: Running, mounts: Mounts
) -> None:
    host, port = gateway.admin_url.removeprefix("https://").split(":")
    tls = showing(mounts.operator)

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection((host, int(port))) as plain,
            tls.wrap_socket(plain, session=session) as connection,
        ):
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            assert not connection.session_reused
            return connection.session

    session = await asyncio.to_thread(connect, None)
    assert session is None or not session.has_ticket
    await asyncio.to_thread(connect, session)


async def test_certificates_are_renewed_without_a_restart_and_what_does_not_fit_together_changes_nothing(
    gateway: Running, mounts: Mounts, theirs: Authority
) -> None:
    before = showing(mounts.operator)
    (mounts.dataplane / "tls.key").rename(mounts.dataplane / "kept")
    (mounts.dataplane / "tls.key").write_bytes((mounts.operator / "tls.key").read_bytes())
    for _ in range(2):
        assert await said(gateway, "/purge", before) == 200

    def lines() -> list[dict[str, object]]:
        return [each for each in gateway.log_lines() if each["event"] == "certificates cannot be read"]

    await soon(lambda: bool(lines()))
    (line,) = lines()
    assert "KEY_VALUES_MISMATCH" in str(line["reason"])
    (mounts.dataplane / "tls.key").unlink()
    (mounts.dataplane / "kept").rename(mounts.dataplane / "tls.key")

    theirs.issue(mounts.dataplane)
    with pytest.raises(aiohttp.ClientError):
        await said(gateway, "/purge", before)
    theirs.issue(mounts.operator)
    assert await said(gateway, "/purge", showing(mounts.operator)) == 200


@dataclass
class Known:
    """In place of the Pod watch."""

    running: list[DataPlanePod]


@contextlib.asynccontextmanager
async def telling(url: str, folder: Path | None) -> AsyncIterator[Notifier]:
    """As the operator does."""
    pods = Known([DataPlanePod("uid", "dp-0", "127.0.0.1", True, False, "first")])
    async with aiohttp.ClientSession() as session:
        certificates = client_certificates(folder, lambda _: None)
        port = AdminPort(session, int(url.rpartition(":")[2]), certificates)
        notifier = Notifier(port, pods, 30.0, Metrics(), lambda: None)  # type: ignore[arg-type]  # a stand-in
        async with under_way(notifier.run()):
            yield notifier


async def heard(notifier: Notifier, what: Callable[[Report], object]) -> None:
    async def is_so() -> bool:
        return any(what(each) for each in notifier.reports.values())

    await until(is_so)


def standing(gateway: Running) -> Head:
    digest = gateway.dataplane.live.digest
    assert digest is not None
    return Head(digest, 1, 1, "a", 1)


async def test_an_operator_and_a_data_plane_know_each_other_also_after_both_were_renewed(
    gateway: Running, mounts: Mounts, theirs: Authority
) -> None:
    async with telling(gateway.admin_url, mounts.operator) as notifier:
        notifier.announce(standing(gateway), [TOKEN])
        await heard(notifier, lambda each: each.digest == gateway.dataplane.live.digest)
        assert await notifier.purge("default/answers") == ""
        theirs.issue(mounts.dataplane)
        theirs.issue(mounts.operator)
        assert await notifier.purge("default/answers") == ""
        assert [each.trouble for each in notifier.reports.values()] == [""]


async def test_an_operator_whose_certificate_is_not_good_says_that_pods_do_not_answer(
    gateway: Running, mounts: Mounts, ours: Authority
) -> None:
    ours.issue(mounts.operator, days=-1)
    async with telling(gateway.admin_url, mounts.operator) as notifier:
        notifier.announce(standing(gateway), [TOKEN])
        await heard(notifier, lambda each: each.trouble.startswith("it did not answer"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("another authority's", "ClientConnectorCertificateError"),
        ("another name's", "ClientConnectorCertificateError"),
        ("expired", "ClientConnectorCertificateError"),
        ("not encrypted", "ClientConnectorSSLError"),
    ],
)
async def test_who_cannot_show_to_be_a_data_plane_is_not_told_the_token(
    mounts: Mounts, ours: Authority, theirs: Authority, tmp_path: Path, wrong: str, said: str
) -> None:
    shown, received = tmp_path / "shown", bytearray()
    shown.mkdir()
    match wrong:
        case "another authority's":
            theirs.issue(shown)
        case "another name's":
            ours.issue(shown, "localhost")
        case "expired":
            ours.issue(shown, days=-1)
    tls = None
    if wrong != "not encrypted":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(shown / "tls.crt", shown / "tls.key")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                received.extend(piece)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with server, telling(f"https://127.0.0.1:{port}", mounts.operator) as notifier:
        notifier.announce(Head("0" * 64, 1, 1, "a", 1), [TOKEN])
        await heard(notifier, lambda each: each.trouble)
        assert [each.trouble for each in notifier.reports.values()] == [f"it did not answer ({said})"]
        assert said in await notifier.purge("default/answers")
    assert TOKEN.encode() not in received
