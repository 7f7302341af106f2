"""YAML files to raw objects, and where each of their fields stands, so that a problem can be shown with file and line.
In Secrets, `${NAME}` and `${NAME:-default}` inside `stringData` stand for environment variables, so that no key need
stand in a file.

Called by the reconcile run over files, and by `tollway serve` and `validate` through it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tollway_api.inventory import SPEC_OF_KIND, RawObject, identify
from tollway_api.meta import GROUP, Identity
from tollway_api.problems import Problem, ProblemReason

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_MOST_BYTES: Final = 16 * 1024 * 1024
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_OURS: Final = frozenset({*SPEC_OF_KIND, "Secret"})

Lines = Mapping[str, int]  # field path, like `spec.models[0].name`, to line number


@dataclass(frozen=True, slots=True)
class Location:
    file: Path
    line: int  # from 1 on; 0 for the whole

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True, slots=True)
class _Document:
    identity: Identity
    raw: RawObject
    file: Path
    lines: Lines


@dataclass(frozen=True, slots=True)
class Manifests:
    """Everything the files say. `unreadable` names files that could not be read at all, with the reason."""

    documents: tuple[_Document, ...]
    problems: tuple[Problem, ...]
    unreadable: tuple[tuple[Location, Problem], ...]
    references: Mapping[
        tuple[str, str, str], str
    ]  # namespace, Secret and key to `${NAME}`, where it stands so

    @property
    def objects(self) -> list[RawObject]:
        return [document.raw for document in self.documents]

    @property
    def ours(self) -> dict[Identity, Location]:
        """Those of our kinds, and where each stands."""
        return {
            each.identity: Location(each.file, each.lines[""])
            for each in self.documents
            if each.identity.kind in SPEC_OF_KIND
        }

    def locate(self, problem: Problem) -> Location | None:
        """Where a problem's field, or the nearest one around it that is written down, stands."""
        for location, unreadable in self.unreadable:
            if unreadable == problem:
                return location
        matching = [document for document in self.documents if document.identity == problem.identity]
        if not matching:
            return None
        # Of an object that is defined twice, the second definition is the one to mend.
        twice = problem.reason is ProblemReason.CONFLICT and problem.field == "metadata.name"
        document = matching[-1 if twice else 0]
        field = problem.field
        while field and field not in document.lines:
            field = re.sub(r"(\.[^.\[\]]*|\[\d+\]|^[^.\[]+)$", "", field)
        return Location(document.file, document.lines[field])


def read_manifests(
    paths: Iterable[Path], environ: Mapping[str, str], default_namespace: str = "default"
) -> Manifests:
    """Reads files, and folders with all that is below them, in sorted order."""
    documents: list[_Document] = []
    problems: list[Problem] = []
    unreadable: list[tuple[Location, Problem]] = []
    for path in paths:
        files = manifest_files(path)
        if not files:
            message = (
                "no such file or folder" if not path.exists() else "no *.yaml, *.yml or *.json in this folder"
            )
            unreadable.append(_unreadable(path, 0, message))
        for file in files:
            try:
                documents += _read(file, default_namespace)
            except (OSError, UnicodeDecodeError) as exc:
                unreadable.append(_unreadable(file, 0, f"cannot be read: {exc}"))
            except _NotAnObject as exc:
                line = exc.problem_mark.line + 1 if exc.problem_mark else 1
                unreadable.append(_unreadable(file, line, str(exc.problem)))
            except yaml.MarkedYAMLError as exc:
                mark = exc.problem_mark or exc.context_mark
                line = mark.line + 1 if mark else 1
                column = f" in column {mark.column + 1}" if mark else ""
                unreadable.append(_unreadable(file, line, f"not valid YAML{column}: {exc.problem}"))
            except (yaml.YAMLError, ValueError) as exc:
                unreadable.append(_unreadable(file, 1, f"not valid YAML: {exc}"))
            except RecursionError:
                unreadable.append(_unreadable(file, 1, "nested too deeply"))
    filled = []
    references: dict[tuple[str, str, str], str] = {}
    for document in documents:
        references.update(_references(document))
        raw, found = _with_environment(document, environ)
        problems += found
        filled.append(_Document(document.identity, raw, document.file, document.lines))
    return Manifests(tuple(filled), tuple(problems), tuple(unreadable), references)


def manifest_files(path: Path) -> list[Path]:
    """The files a path stands for. Hidden ones are not ours: editors keep copies there, and a mounted ConfigMap keeps
    the folders that its visible links lead to.
    """
    if path.is_dir():
        visible = (file for file in path.rglob("*") if not _is_hidden(file.relative_to(path)))
        return sorted(file for file in visible if file.suffix in SUFFIXES and file.is_file())
    return [path] if path.is_file() else []


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _unreadable(path: Path, line: int, message: str) -> tuple[Location, Problem]:
    identity = Identity("File", "", str(path))
    return Location(path, line), Problem(identity, "", ProblemReason.UNREADABLE, message)


class _NotAnObject(yaml.MarkedYAMLError):
    """Valid YAML, but no Kubernetes object."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: YAML would silently let the later one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: ARG002 - the parent's signature
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=True)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the library does not type it
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported", mark)
        return super().compose_node(parent, index)


# Timestamps stay text, as in Kubernetes: `2026-01-01` is a string to us.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read(file: Path, default_namespace: str) -> Iterator[_Document]:
    if file.stat().st_size > _MOST_BYTES:
        raise OSError(f"larger than {_MOST_BYTES} bytes")
    loader = _Loader(file.read_text(encoding="utf-8"))
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None or node.tag == "tag:yaml.org,2002:null":
                continue  # an empty document between two `---`
            yield from _documents(file, node, loader, default_namespace)
    finally:
        loader.dispose()


def _documents(file: Path, node: yaml.Node, loader: _Loader, default_namespace: str) -> Iterator[_Document]:
    if not isinstance(node, yaml.MappingNode):
        message = "a document must be a mapping with apiVersion, kind and metadata"
        raise _NotAnObject(None, None, message, node.start_mark)
    raw: RawObject = loader.construct_document(node)
    if str(raw.get("kind", "")).endswith("List") and "items" in raw:
        for key, value in node.value:
            if key.value != "items":
                continue
            if not isinstance(value, yaml.SequenceNode):
                raise _NotAnObject(None, None, "items must be a list of objects", value.start_mark)
            for item in value.value:
                yield from _documents(file, item, loader, default_namespace)
        return
    api_version, kind = raw.get("apiVersion"), raw.get("kind")
    # Of our own what is missing is said more kindly by who types them.
    ours = (isinstance(kind, str) and kind in _OURS) or str(api_version).partition("/")[0] == GROUP
    if not ours and not (isinstance(api_version, str) and isinstance(kind, str)):
        raise _NotAnObject(None, None, "a document must say its apiVersion and kind", node.start_mark)
    yield _Document(identify(raw, default_namespace), raw, file, dict(_lines(node, "")))


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    """The line of every field: that of its key, because a person looks for the key."""
    if not path:
        yield "", node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            inner = f"{path}[{place}]"
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner)


def _references(document: _Document) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Secret values that are one whole reference: a shell reads `${NAME:-default}` just as we do."""
    values = document.raw.get("stringData")
    if document.identity.kind == "Secret" and isinstance(values, Mapping):
        for key, value in values.items():
            if isinstance(value, str) and _VARIABLE.fullmatch(value):
                yield (document.identity.namespace, document.identity.name, str(key)), value


def _with_environment(document: _Document, environ: Mapping[str, str]) -> tuple[RawObject, Sequence[Problem]]:
    """A Secret with its variables filled in; a value whose variable is not set is left out."""
    values = document.raw.get("stringData")
    if document.identity.kind != "Secret" or not isinstance(values, Mapping):
        return document.raw, ()
    filled: dict[str, object] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        if not isinstance(value, str):
            filled[key] = value
            continue
        missing = [
            match[1] for match in _VARIABLE.finditer(value) if match[1] not in environ and match[2] is None
        ]
        if missing:
            name = missing[0]
            message = (
                f"environment variable {name} is not set; export {name}=…, or write ${{{name}:-default}}"
            )
            field = f"stringData.{key}"
            problems.append(Problem(document.identity, field, ProblemReason.MISSING_SECRET, message))
        else:
            filled[key] = _VARIABLE.sub(lambda match: environ.get(match[1], match[2] or ""), value)
    return {**document.raw, "stringData": filled}, problems
