"""A snapshot in a folder, as the kubelet mounts it, for data planes that run without a cluster."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from tests.dataplanes import Setup, compiled
from tollway_api import parts
from tollway_api.snapshot import encode, revision
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.provision import provision


def mounted(encoded: bytes, folder: Path, order: int) -> str:
    """Writes it, the head last, and returns its revision."""
    head, (first, *others) = parts.split(encoded, order, 1, parts.SLOTS[order % 2])
    folder.mkdir(exist_ok=True)
    files: Mapping[str, bytes] = {parts.FIRST_PART: first, **dict(zip(head.overflow, others, strict=True))}
    for name, data in {**files, parts.HEAD: parts.encode_head(head)}.items():
        temporary = folder / f".{name}"
        temporary.write_bytes(data)
        temporary.replace(folder / name)
    return revision(encoded)


def process_env(
    snapshot: Path, cache: EmbeddedRedis, ledger: EmbeddedRedis, port: int, admin: int
) -> dict[str, str]:
    """What a data plane that runs as a process is told, to serve what was published."""
    return {
        "TOLLWAY_CACHE_REDIS_URL": cache.url,
        "TOLLWAY_LEDGER_REDIS_URL": ledger.url,
        "TOLLWAY_SNAPSHOT_DIR": str(snapshot),
        "TOLLWAY_ALLOW_ENDPOINTS": "127.0.0.0/8",
        "TOLLWAY_LISTEN": f"127.0.0.1:{port}",
        "TOLLWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
    }


def published(setup: Setup, folder: Path, cache: EmbeddedRedis, ledger: EmbeddedRedis, order: int = 1) -> str:
    """As the operator would: compiled, provisioned and mounted."""
    snapshot = compiled(setup.objects())
    asyncio.run(provision(snapshot, cache.url, ledger.url))
    return mounted(encode(snapshot), folder, order)
