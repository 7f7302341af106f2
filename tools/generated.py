"""What the generators share: they write their files, or with `--check` only compare."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_or_check(
    description: str | None, files: Mapping[Path, str], source: str, verb: str, owned: Iterable[Path] = ()
) -> int:
    """The exit status. Of `owned`, what is not among the files should not be there."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="fail when a committed file differs")
    if parser.parse_args().check:
        stale = [path for path, text in files.items() if not path.exists() or _read(path) != text]
        stale += [path for path in owned if path not in files]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what {source}; run: make {verb}", file=sys.stderr)
        return int(bool(stale))
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
