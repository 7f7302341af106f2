"""docs/providers.md says of each provider what its server here has been told to speak, and its examples compile."""

import re
from pathlib import Path

import yaml

from tests.dataplane.providers.wire import KEY, ScriptedReply, Wire
from tests.dataplane.providers.wires import WIRES, model_id
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import RawObject, parse_inventory
from tollway_api.reach import OWN
from tollway_api.snapshot import Protocol

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")
ERRORS = {
    "key": "key",
    "rate": "rate limit",
    "broken": "broken",
    "busy": "busy",
    "overflow": "too long a prompt",
    "filter": "content filter",
    "wrong": "wrong request",
}
HEADERS = {"anthropic-version": "2023-06-01"}


def row(wire: Wire) -> str:
    names = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
    (header,) = [name for name in names if wire.key_in(Only(name)) == KEY]
    said = wire.telling(ScriptedReply())
    apart = {"cached": said.cached, "written to the cache": said.written, "thought": said.thought}
    called = "directly" if wire.model.protocol is Protocol.OPENAI else "through LiteLLM"
    told = ", ".join(ERRORS[kind] for kind in ERRORS if kind in wire.failures)
    counted = ", ".join(name for name, tokens in apart.items() if tokens) or "none"
    return f"| {wire.name} | `{model_id(wire)}` | {called} | `{header}` | {counted} | {told} |"


class Only(dict[str, str]):
    """Headers of which one has the key."""

    def __init__(self, name: str) -> None:
        super().__init__({**HEADERS, name: KEY})

    def __missing__(self, name: str) -> str:
        return ""


def test_its_table_is_what_was_tested() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [A-Za-z].*(directly|through LiteLLM) ", line)]
    assert rows == [row(wire) for wire in WIRES]


def test_its_examples_compile() -> None:
    keys = ("api-key", "aws_access_key_id", "aws_secret_access_key")
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        policy: RawObject = yaml.safe_load(example)
        named = {*re.findall(r"(?:credentialsRef|secretRef): \{name: ([a-z-]+)\}", example)}
        secrets: list[RawObject] = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": dict.fromkeys(keys, "k"),
            }
            for name in named
        ]
        inventory, problems = parse_inventory([policy, *secrets])
        made = compile_snapshot(inventory, bundled(), "default", reach=OWN)
        assert not problems
        assert not made.problems
        assert len(made.snapshot.policies) == 1
