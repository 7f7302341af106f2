"""Asks OSV, or a server that speaks as it does (TOLLWAY_AUDIT_URL), whether anything is known against what locks pin:
Python, npm and Go, in as few requests as it takes. Fails on what is known against a lock in `locks/`; what is known
against gateways that benchmarks install, and programs that only tests build, is told. Where nobody answers, nothing was
audited: that is said, and fails only with TOLLWAY_REQUIRE_AUDIT=1, since `make check` must work without a network.
"""

import itertools
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from tools.generated import ROOT

SERVICE: Final = "https://api.osv.dev"
# Identifier, or one of its other names, to why it does not concern us. Somebody has to have read it.
_ACCEPTED: Final[Mapping[str, str]] = {}
_AT_ONCE: Final = 1000  # queries in a request, by OSV's rules
# Until the first answer, a name's look-up included, which no client bounds. Who is offline waits no longer than this.
_PATIENCE_S: Final = 2.5
_ANSWER_S: Final = 30.0


class Pin(NamedTuple):
    ecosystem: str
    name: str
    version: str


class Finding(NamedTuple):
    lock: str
    pin: Pin
    names: tuple[str, ...]  # OSV's identifier, then its other names
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        others = f" ({', '.join(self.names[1:])})" if len(self.names) > 1 else ""
        mended = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is known"
        return f"{self.lock}: {self.pin.name} {self.pin.version}: {self.names[0]}{others}, {mended}"

    @property
    def concerns_us(self) -> bool:
        return self.lock.startswith("locks/")


class NobodyAnswersError(Exception):
    """Nothing can be said: the service is away, or what answers is another."""


def locked(root: Path = ROOT) -> dict[str, list[Pin]]:
    """What each lock pins, whatever the platform."""
    readers: Sequence[tuple[str, Callable[[str], Iterable[Pin]]]] = (
        ("locks/*.txt", python_pins),
        ("bench/peers/*.txt", python_pins),
        ("bench/peers/*/package-lock.json", npm_pins),
        ("tools/cluster/*/go.mod", go_pins),
    )
    return {
        str(path.relative_to(root)): sorted(set(read(path.read_text(encoding="utf-8"))))
        for pattern, read in readers
        for path in sorted(root.glob(pattern))
    }


def python_pins(lock: str) -> Iterator[Pin]:
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", lock, re.MULTILINE):
        yield Pin("PyPI", re.sub(r"[-_.]+", "-", name).lower(), version)


def npm_pins(lock: str) -> Iterator[Pin]:
    for place, package in json.loads(lock)["packages"].items():
        if place and "version" in package:
            yield Pin("npm", package.get("name", place.rpartition("node_modules/")[2]), package["version"])


def go_pins(module: str) -> Iterator[Pin]:
    """A module's file lists all it is built from. Of what is replaced, that which takes its place."""
    replaced = {
        old: (new, version)
        for old, new, version in re.findall(
            r"^(?:replace\s+|\t)(\S+)(?: v\S+)? => (\S+) v(\S+)", module, re.MULTILINE
        )
    }
    for name, version in re.findall(r"^(?:require\s+|\t)(\S+) v(\S+)(?: //.*)?$", module, re.MULTILINE):
        yield Pin("Go", *replaced.get(name, (name, version)))


class Osv:
    def __init__(self, http: httpx.Client, patience_s: float = _PATIENCE_S) -> None:
        self._http = http
        self._patience_s = patience_s

    @property
    def url(self) -> str:
        return str(self._http.base_url)

    def known(self, pins: Sequence[Pin]) -> dict[Pin, list[str]]:
        """Identifiers of what is known against each."""
        self._insist_on_an_answer(pins[:1])
        found: dict[Pin, list[str]] = {pin: [] for pin in pins}
        waiting: list[tuple[Pin, str]] = [(pin, "") for pin in pins]
        while waiting:
            asked, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            for (pin, _), result in zip(asked, self._query(asked), strict=True):
                found[pin] += [each["id"] for each in result.get("vulns", ())]
                if token := result.get("next_page_token"):
                    waiting.append((pin, token))
        return found

    def read(self, identifier: str) -> Mapping[str, Any]:
        """All that is written of it; nothing where that cannot be read, since it is known all the same."""
        try:
            record: Mapping[str, Any] = self._http.get(f"/v1/vulns/{identifier}").raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return {}
        return record

    def _query(self, asked: Sequence[tuple[Pin, str]]) -> list[dict[str, Any]]:
        queries = [
            {"package": {"ecosystem": pin.ecosystem, "name": pin.name}, "version": pin.version}
            | ({"page_token": token} if token else {})
            for pin, token in asked
        ]
        try:
            reply = self._http.post("/v1/querybatch", json={"queries": queries}).raise_for_status().json()
            results: list[dict[str, Any]] = reply["results"]
        except httpx.HTTPStatusError as exc:
            raise NobodyAnswersError(f"it answers {exc.response.status_code}") from exc
        except httpx.HTTPError as exc:
            raise NobodyAnswersError(str(exc) or type(exc).__name__) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise NobodyAnswersError("what answers is not OSV") from exc
        if len(results) != len(asked):
            raise NobodyAnswersError(f"of {len(asked)} questions {len(results)} were answered")
        return results

    def _insist_on_an_answer(self, pins: Sequence[Pin]) -> None:
        """A thread that is left behind where nobody answers: a look-up of a name cannot be called off."""
        outcome: list[Exception | None] = []

        def ask() -> None:
            try:
                self._query([(pin, "") for pin in pins])
            except NobodyAnswersError as exc:
                outcome.append(exc)
            else:
                outcome.append(None)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(self._patience_s)
        if not outcome:
            raise NobodyAnswersError(f"no answer within {self._patience_s:g} s")
        if (failed := outcome[0]) is not None:
            raise failed


def findings(locks: Mapping[str, Sequence[Pin]], service: Osv) -> list[Finding]:
    known = service.known(sorted(set(itertools.chain.from_iterable(locks.values()))))
    records = {
        each: service.read(each) for each in sorted(set(itertools.chain.from_iterable(known.values())))
    }
    found = []
    for lock, pins in locks.items():
        for pin in pins:
            told: set[str] = set()
            for identifier in known[pin]:
                record = records[identifier]
                names = (identifier, *record.get("aliases", ()))
                # Two databases have often the same.
                if told.isdisjoint(names) and "withdrawn" not in record:
                    found.append(Finding(lock, pin, names, _fixed(record, pin)))
                    told.update(names)
    return found


def _fixed(record: Mapping[str, Any], pin: Pin) -> tuple[str, ...]:
    """In order of appearance, without commits."""
    events = (
        event
        for affected in record.get("affected", ())
        if (affected.get("package", {}).get("ecosystem"), affected.get("package", {}).get("name"))
        == (pin.ecosystem, pin.name)
        for ranges in affected.get("ranges", ())
        if ranges.get("type") != "GIT"
        for event in ranges.get("events", ())
    )
    return tuple(dict.fromkeys(event["fixed"] for event in events if "fixed" in event))


def audit(
    locks: Mapping[str, Sequence[Pin]], service: Osv, accepted: Mapping[str, str], *, required: bool
) -> int:
    """Prints what there is to say; the exit status."""
    try:
        found = findings(locks, service)
    except NobodyAnswersError as exc:
        print(
            f"audit: NOTHING WAS AUDITED, by {service.url}: {exc}. Where it can be: TOLLWAY_REQUIRE_AUDIT=1 make audit"
        )
        return int(required)
    failed = 0
    for each in found:
        reason = next((accepted[name] for name in each.names if name in accepted), "")
        if reason:
            print(f"accepted: {each}: {reason}")
        elif each.concerns_us:
            failed += 1
            print(f"VULNERABLE: {each}", file=sys.stderr)
        else:
            print(f"not ours: {each}")
    for name in sorted(accepted.keys() - {name for each in found for name in each.names}):
        print(f"accepted, and found no more, so it can go: {name}")
    packages = len(set(itertools.chain.from_iterable(locks.values())))
    print(f"audit: {packages} packages of {len(locks)} locks, {failed} known vulnerabilities of what is ours")
    return int(failed > 0)


def main() -> int:
    url, required = (
        os.environ.get("TOLLWAY_AUDIT_URL", SERVICE),
        os.environ.get("TOLLWAY_REQUIRE_AUDIT") == "1",
    )
    with httpx.Client(base_url=url, timeout=httpx.Timeout(_ANSWER_S, connect=_PATIENCE_S)) as http:
        return audit(locked(), Osv(http), _ACCEPTED, required=required)


if __name__ == "__main__":
    sys.exit(main())
