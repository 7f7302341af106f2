"""`tollway-operator`: reconciles manifests to a snapshot file that data planes follow, once or for as long as the
files change. Data planes on the same Redis share their caches and budgets.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from tollway_operator.errors import OperatorError
from tollway_operator.manifests import manifest_files
from tollway_operator.publish import publish_file
from tollway_operator.reconcile import gather, provision

_POLL_S = 1.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tollway-operator",
        description="Compiles RoutingPolicies, TenantBudgets and SemanticCacheIndexes into one snapshot, "
        "provisions the index versions it needs in Redis, and publishes it to a file for tollway-dataplane.",
        epilog="Exit status: 0 published, 1 an object has an error (the others are published), 2 nothing published.",
    )
    parser.add_argument("--manifests", nargs="+", type=Path, required=True, help="YAML files or folders")
    parser.add_argument(
        "--redis", required=True, help="URL of the cache Redis, like redis://127.0.0.1:6379/0"
    )
    parser.add_argument("--ledger-redis", help="URL of the ledger Redis (default: the cache Redis)")
    parser.add_argument("--publish", type=Path, required=True, help="file to write the snapshot to")
    parser.add_argument("--watch", action="store_true", help="go on, and reconcile whenever a file changes")
    parser.add_argument(
        "--installation-namespace",
        default="tollway-system",
        help="whose policies govern all tenants (default: %(default)s)",
    )
    return parser


def _say(text: object) -> None:
    print(text, flush=True)  # noqa: T201 - the report is for a person


def _complain(text: object) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - see above


async def _reconcile(arguments: argparse.Namespace) -> int:
    gathered = gather(arguments.manifests, os.environ, arguments.installation_namespace)
    for finding in gathered.findings:
        _complain(finding)
    if gathered.broken:
        _complain("nothing published: a file cannot be read, so what the others say is not all")
        return 2
    try:
        done = await provision(gathered.snapshot, arguments.redis, arguments.ledger_redis or arguments.redis)
        wrote = publish_file(gathered.encoded, arguments.publish)
    except OperatorError as error:
        _complain(f"nothing published: {error}")
        return 2
    for warning in done.warnings:
        _complain(f"warning: {warning}")
    for action in done.actions:
        _say(f"index {action.step.lower()}: {action.name}")
    state = "published" if wrote else "unchanged"
    _say(f"revision {gathered.revision} {state}: {arguments.publish}")
    return 1 if gathered.errors else 0


async def _watch(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    seen: object = None
    while not stop.is_set():
        now = _fingerprint(arguments.manifests)
        # 2 is also "Redis is away", so that is tried again at every turn.
        if now != seen and await _reconcile(arguments) != 2:
            seen = now
        try:
            async with asyncio.timeout(_POLL_S):
                await stop.wait()
        except TimeoutError:
            continue
    return 0


def _fingerprint(paths: list[Path]) -> list[tuple[Path, int, int]]:
    """What tells that a file has changed, appeared or gone."""
    states = []
    for file in (file for path in paths for file in manifest_files(path)):
        try:
            status = file.stat()
        except OSError:
            continue
        states.append((file, status.st_mtime_ns, status.st_size))
    return states


def main() -> None:
    arguments = _parser().parse_args()
    sys.exit(asyncio.run(_watch(arguments) if arguments.watch else _reconcile(arguments)))


if __name__ == "__main__":
    main()
