"""What is known against a pin fails the audit by name; what could not be asked is said to be so. The service is a
server of ours that speaks as OSV does.
"""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.processes import free_port
from tests.servers import served
from tools.audit import Osv, Pin, audit, go_pins, locked, npm_pins, python_pins

JINJA = Pin("PyPI", "jinja2", "2.4.1")
OURS = {"locks/dataplane.txt": [JINJA, Pin("PyPI", "numpy", "2.5.5")]}
_AFFECTED = [
    {
        "package": {"ecosystem": "PyPI", "name": "jinja2"},
        "ranges": [
            {"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "0123abc"}]},
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.7.2"}]},
        ],
    }
]
PYSEC = {"id": "PYSEC-2014-8", "aliases": ["CVE-2014-1402", "GHSA-8r7q"], "affected": _AFFECTED}
GHSA = {"id": "GHSA-8r7q", "aliases": ["CVE-2014-1402", "PYSEC-2014-8"], "affected": _AFFECTED}


@dataclass
class Database:
    """Whatever is known of a pin, one a page."""

    known: Mapping[Pin, list[dict[str, Any]]] = field(default_factory=dict)
    readable: bool = True

    async def query(self, request: Request) -> Response:
        return JSONResponse({"results": [self._answer(each) for each in (await request.json())["queries"]]})

    def _answer(self, query: dict[str, Any]) -> dict[str, Any]:
        pin = Pin(query["package"]["ecosystem"], query["package"]["name"], query["version"])
        page, records = int(query.get("page_token", 0)), self.known.get(pin, [])
        if not records:
            return {}
        more = {"next_page_token": str(page + 1)} if page + 1 < len(records) else {}
        return {"vulns": [{"id": records[page]["id"], "modified": "2026-01-01T00:00:00Z"}], **more}

    async def read(self, request: Request) -> Response:
        records = {each["id"]: each for known in self.known.values() for each in known}
        return JSONResponse(records[request.path_params["id"]], status_code=200 if self.readable else 503)

    @contextlib.contextmanager
    def asked(self) -> Iterator[Osv]:
        routes = [Route("/v1/querybatch", self.query, methods=["POST"]), Route("/v1/vulns/{id}", self.read)]
        with (
            served(Starlette(routes=routes)) as url,
            _client(url) as http,
        ):
            yield Osv(http, patience_s=60)


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, verify=False, timeout=60)  # noqa: S501 - nothing here is encrypted


def test_what_is_known_against_a_lock_of_ours_fails_with_package_version_names_and_what_mends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two databases that know the same of it are one line."""
    with Database({JINJA: [PYSEC, GHSA]}).asked() as service:
        assert audit(OURS, service, {}, required=False) == 1
    said = capsys.readouterr()
    assert said.err == (
        "VULNERABLE: locks/dataplane.txt: jinja2 2.4.1: PYSEC-2014-8 (CVE-2014-1402, GHSA-8r7q), fixed in 2.7.2\n"
    )
    assert said.out == "audit: 2 packages of 1 locks, 1 known vulnerabilities of what is ours\n"


@pytest.mark.parametrize("name", ["PYSEC-2014-8", "CVE-2014-1402"])
def test_what_somebody_has_read_and_accepted_passes_by_any_of_its_names_and_says_why(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Acceptance is told in every run, so that it is not forgotten."""
    with Database({JINJA: [PYSEC, GHSA]}).asked() as service:
        assert audit(OURS, service, {name: "we render no template of others"}, required=True) == 0
    assert "fixed in 2.7.2: we render no template of others\n" in capsys.readouterr().out


def test_what_was_accepted_and_is_found_no_more_is_said_to_be_superfluous(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A list of exceptions that only grows would in the end excuse something else."""
    with Database().asked() as service:
        assert audit(OURS, service, {"CVE-2014-1402": "…"}, required=True) == 0
    assert "accepted, and found no more, so it can go: CVE-2014-1402" in capsys.readouterr().out


def test_what_was_withdrawn_is_no_finding() -> None:
    """Its authors say that it is none."""
    with Database({JINJA: [PYSEC | {"withdrawn": "2026-01-01T00:00:00Z"}]}).asked() as service:
        assert audit(OURS, service, {}, required=True) == 0


def test_what_cannot_be_read_about_a_finding_does_not_hide_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The identifier alone is enough to fail."""
    with Database({JINJA: [PYSEC]}, readable=False).asked() as service:
        assert audit(OURS, service, {}, required=False) == 1
    assert "jinja2 2.4.1: PYSEC-2014-8, no fixed version is known" in capsys.readouterr().err


def test_what_only_benchmarks_and_tests_run_is_told_and_fails_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Other gateways are measured as they are."""
    with Database({JINJA: [PYSEC]}).asked() as service:
        assert audit({"bench/peers/litellm-proxy.txt": [JINJA]}, service, {}, required=True) == 0
    assert capsys.readouterr().out.startswith("not ours: bench/peers/litellm-proxy.txt: jinja2 2.4.1")


@contextlib.contextmanager
def _away(how: str) -> Iterator[Osv]:
    replies = {
        "a proxy refuses": PlainTextResponse("not from here", status_code=403),
        "somebody else": PlainTextResponse("<html>please log in</html>"),
        "cut short": JSONResponse({"results": []}),
    }
    with contextlib.ExitStack() as until:
        if how == "nobody listens":
            url = f"http://127.0.0.1:{free_port()}"
        elif how == "silent":
            silent = until.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        else:
            url = until.enter_context(served(replies[how]))
        http = until.enter_context(_client(url))
        yield Osv(http, patience_s=0.2 if how == "silent" else 60)


@pytest.mark.parametrize("how", ["nobody listens", "silent", "a proxy refuses", "somebody else", "cut short"])
def test_where_nobody_answers_it_says_that_nothing_was_audited_and_fails_only_where_it_must_be(
    capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """A check that could not look must not pass for one that found nothing."""
    with _away(how) as service:
        assert audit(OURS, service, {}, required=False) == 0
        assert audit(OURS, service, {}, required=True) == 1
    assert capsys.readouterr().out.count("audit: NOTHING WAS AUDITED, by http://127.0.0.1:") == 2


def test_every_lock_there_is_is_read_to_its_last_package() -> None:
    """As many pins as there are lines of them."""
    root = Path(__file__).parents[1]
    pins = locked()
    locks = {str(path.relative_to(root)): path for path in (root / "locks").iterdir()}
    assert locks.keys() == {name for name in pins if name.startswith("locks/")}
    for name, path in locks.items():
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines() if "==" in line.partition(";")[0]
        ]
        assert len(pins[name]) == len(lines), name
    assert {"bench/peers/portkey/package-lock.json", "tools/cluster/helm/go.mod"} <= pins.keys()


def test_pins_are_read_as_each_kind_of_lock_writes_them() -> None:
    """Names as the service knows them, whatever the platform, and of what Go replaces that which is built."""
    python = "litellm[proxy]==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n    # via x==2\nTyping_Ext==4\n"
    assert list(python_pins(python)) == [Pin("PyPI", "litellm", "1.0"), Pin("PyPI", "typing-ext", "4")]
    npm = '{"packages": {"": {"version": "1"}, "node_modules/a/node_modules/@b/c": {"version": "2"}}}'
    assert list(npm_pins(npm)) == [Pin("npm", "@b/c", "2")]
    go = "require (\n\ta.b/c v1.2 // indirect\n\td.e/f v0.0.0\n)\n\nrequire g.h/i v1\n\nreplace d.e/f => d.e/f v0.5\n"
    assert list(go_pins(go)) == [
        Pin("Go", "a.b/c", "1.2"),
        Pin("Go", "d.e/f", "0.5"),
        Pin("Go", "g.h/i", "1"),
    ]
