"""How large images are and what of: their files, summed by the Python package that they belong to. Reads archives as
`python -m tools.node` keeps them in the cache folder, without a registry or a container.

    python -m tools.image_report [archive …]
"""

import argparse
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from tools.cluster_tools import cache_folder

OURS: Final = "Tollway itself"
BASE: Final = "Debian with Python"
_PACKAGE: Final = re.compile(r"opt/tollway/lib/python[^/]+/site-packages/([^/]+)")
_SHOWN: Final = 12


class Image:
    """An OCI archive. https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        (descriptor,) = self._json("index.json")["manifests"]
        self._manifest = self._blob(descriptor["digest"])
        self.config: dict[str, Any] = self._blob(self._manifest["config"]["digest"])["config"]

    def files(self) -> Iterator[tuple[str, int]]:
        """Paths without the leading slash, and bytes. What a later layer writes again is there again."""
        for layer in self._layers():
            for member in layer:
                if member.isfile():
                    yield member.name.removeprefix("./"), member.size

    def read(self, path: str) -> bytes:
        """Raises KeyError where there is no such file."""
        for layer in self._layers():
            for member in layer:
                if member.name.removeprefix("./") == path and (file := layer.extractfile(member)) is not None:
                    return file.read()
        raise KeyError(path)

    def _layers(self) -> Iterator[tarfile.TarFile]:
        for described in self._manifest["layers"]:
            with self._open(_place(described["digest"])) as blob, tarfile.open(fileobj=blob) as layer:
                yield layer

    def _blob(self, digest: str) -> dict[str, Any]:
        return self._json(_place(digest))

    def _json(self, name: str) -> dict[str, Any]:
        with self._open(name) as file:
            found: dict[str, Any] = json.load(file)
            return found

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        with tarfile.open(self.archive) as archive:
            if (file := archive.extractfile(name)) is None:
                raise KeyError(name)
            yield file


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def archives() -> list[Path]:
    """Of our own images, as they were built last on this machine."""
    folder = cache_folder().parent / "images"
    return [each for name in ("operator", "dataplane", "cli") for each in folder.glob(f"{name}-*.tar")]


def made_of(image: Image) -> Counter[str]:
    """Bytes by package."""
    sizes: Counter[str] = Counter()
    for path, size in image.files():
        sizes[_owner(path)] += size
    return sizes


def _owner(path: str) -> str:
    if (found := _PACKAGE.match(path)) is not None:
        return found[1].partition("-")[0].removesuffix(".libs").removesuffix(".py").lower()
    return OURS if path.startswith("opt/tollway/app/") else BASE


def report(image: Image) -> Iterator[str]:
    sizes = made_of(image)
    yield f"{image.archive.name}: {sizes.total() / 1e6:.0f} MB in {sum(1 for _ in image.files())} files"
    shown = sizes.most_common(_SHOWN)
    for name, size in [*shown, ("everything else", sizes.total() - sum(size for _, size in shown))]:
        yield f"  {size / 1e6:7.1f} MB  {size / sizes.total():4.0%}  {name}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", type=Path, help="instead of those that were built last")
    for archive in parser.parse_args().archives or archives():
        print("\n".join(report(Image(archive))))
