"""The snapshot of several workers: files in a folder that all of them read, and each is told when there is a newer one,
as the operator tells pods. Used by `tollway serve --workers`.
"""

import asyncio
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tollway_api import messages, parts, snapshot
from tollway_api.messages import Notify
from tollway_api.parts import Head
from tollway_api.snapshot import SnapshotError
from tollway_dataplane.errors import SnapshotFault
from tollway_dataplane.workers import Ports, Workers

_ASK_AGAIN_S: Final = 0.1
# A worker may have to load a library first, on a machine that is busy.
_DEADLINE_S: Final = 120.0
_NO_FENCE: Final = 0  # nobody else writes there


class SharedSnapshot:
    """`folder` is its owner's alone, since provider keys are in it."""

    def __init__(self, folder: Path, workers: Workers, ports: Ports, admin_token: str) -> None:
        self._folder = folder
        self._workers = workers
        self._ports = ports
        self._headers = messages.headers(admin_token)
        self._encoded = b""
        self._order = 0

    @property
    def digest(self) -> str | None:
        return snapshot.digest(self._encoded) if self._encoded else None

    @property
    def revision(self) -> str | None:
        return snapshot.revision(self._encoded) if self._encoded else None

    async def offer(self, encoded: bytes) -> str:
        """Returns when every worker that runs has it; one that is started later finds it. Raises SnapshotFault, and
        then all of them go back to the one before.
        """
        head = await self._write(encoded)
        try:
            await self._tell(head)
        except SnapshotFault:
            if self._encoded:
                await self._tell(await self._write(self._encoded))
            raise
        self._encoded = encoded
        return head.revision

    async def _write(self, encoded: bytes) -> Head:
        self._order += 1
        try:
            slot = parts.SLOTS[self._order % len(parts.SLOTS)]
            head, (first, *others) = parts.split(encoded, self._order, _NO_FENCE, slot)
            files = {parts.FIRST_PART: first, **dict(zip(head.overflow, others, strict=True))}
            await asyncio.to_thread(self._replace, {**files, parts.HEAD: parts.encode_head(head)})
        except SnapshotError as exc:
            raise SnapshotFault(str(exc)) from exc
        except OSError as exc:
            raise SnapshotFault(f"cannot write {exc.filename}: {exc.strerror}") from exc
        return head

    def _replace(self, files: dict[str, bytes]) -> None:
        """Each at once, and the head last."""
        for name, content in files.items():
            temporary = self._folder / f".{name}"
            temporary.write_bytes(content)
            temporary.replace(self._folder / name)

    async def _tell(self, head: Head) -> None:
        said = await asyncio.gather(*(self._runs(number, head) for number in self._ports.numbers))
        if trouble := ", ".join(filter(None, said)):
            raise SnapshotFault(trouble)

    async def _runs(self, number: int, head: Head) -> str:
        """Waits until a worker runs it, or its process is another. Why it does not, or ""."""
        body = messages.NOTIFY.dump_json(Notify(head.revision, head.digest))
        pid = self._workers.pid(number)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while pid is not None and self._workers.pid(number) == pid:
                    answer = await self._ports.ask(number, "POST", messages.PATH, self._headers, body)
                    if answer is not None:
                        return "" if answer.status == 200 else f"worker {number}: {_why(answer.body)}"
                    await asyncio.sleep(_ASK_AGAIN_S)
        except TimeoutError:
            return f"worker {number} has not said within {_DEADLINE_S:g} seconds that it runs {head.revision}"
        return ""


def _why(body: bytes) -> str:
    try:
        return messages.POD_STATE.validate_json(body).rejected
    except ValidationError:
        return body.decode(errors="replace")[:200]
