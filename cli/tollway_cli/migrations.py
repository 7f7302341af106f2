"""Says at the terminal how far the change of an embedding has come: each turn once, and what is in the way."""

from rich.console import Console
from rich.text import Text

from tollway_api.snapshot import Beside, Index, Stage
from tollway_operator.migration import unfinished
from tollway_operator.provision import Provisioned


class Migrations:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}  # by id of the index

    def report(self, done: Provisioned) -> None:
        now = {index.id: _text(index, beside, done) for index, beside in unfinished(done.snapshot.indexes)}
        for index_id in self._said.keys() - now.keys():
            if index_id in done.snapshot.indexes:
                version = done.snapshot.indexes[index_id].version
                self._say(index_id, f"done; {version.name} is asked and written alone")
        for index_id, text in now.items():
            if self._said.get(index_id) != text:
                self._say(index_id, text)
        self._said = now

    def _say(self, index_id: str, text: str) -> None:
        self._console.print(Text.assemble(("embedding", "bold"), f" of {index_id}: {text}"), soft_wrap=True)


def _text(index: Index, beside: Beside, done: Provisioned) -> str:
    other = beside.version.name
    if beside.stage is Stage.JOINING:
        return f"{other} is written as well"
    if beside.stage is Stage.LEAVING:
        return f"{index.version.name} is asked now"
    progress = done.progress.get(other)
    trouble = f"; in the way: {progress.fault}" if progress and progress.fault else ""
    return f"what was remembered before is embedded anew for {other}{trouble}"
