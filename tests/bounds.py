"""For every bound of a schema a value just inside and one just outside, each in the smallest object that can hold it.
Pure; what a pattern takes, and what else must be said beside a field, is in two tables, since no schema says it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tollway_api.crds import walk

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """Of texts with a pattern: one of a given length, and one that does not match."""

    long: Callable[[int], str]
    wrong: str


def _decimal(length: int) -> str:
    return "1".zfill(length) if length < 12 else f"{_decimal(length - 10)}.{'0' * 9}"


def _percent(length: int) -> str:
    """Of eight characters at most; what is longer does not match either."""
    return f"{('1.' if length < 8 else '11.').ljust(length - 1, '1')}%"


_NAME = Shape(lambda length: "a" * length, "a b")
PATTERNS = {
    r"^([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h)+$": Shape(
        lambda length: ("1" * (length % 2) + "1s" * length)[-length:], "1 day"
    ),
    r"^[0-9]{1,9}(\.[0-9]{1,9})?$": Shape(_decimal, "1e9"),
    r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$": Shape(lambda length: f"0.{'96'.ljust(length - 2, '0')}", "1.01"),
    r"^([0-9]{1,2}(\.[0-9]{1,4})?|100)%$": Shape(_percent, "1"),
    r"^[0-4]?[0-9](\.[0-9]{1,4})?%$": Shape(_percent, "50%"),
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": Shape(lambda length: "a" * length, "A"),
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$": Shape(
        lambda length: "a" * length, "a_b"
    ),
    r"^[A-Za-z0-9]([A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?$": _NAME,
    r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$": _NAME,
    r'^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!"$->@-~]*)?$': Shape(
        lambda length: "http://a/".ljust(length, "a"), "ftp://a"
    ),
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$": Shape(
        lambda length: f"2027-01-31T18:00:00{'.'.ljust(length - 25, '0') if length > 26 else ''}+01:00",
        "2027-01-31",
    ),
    r"^[A-Za-z][A-Za-z0-9_+/-]*$": _NAME,
    r"^[A-Za-z0-9-]{1,64}$": _NAME,
    r"^[a-z0-9-]{1,64}$": _NAME,
    r"^[a-z0-9-]{1,32}$": _NAME,
    r"^[A-Za-z0-9.-]{1,32}$": _NAME,
    r"^w[0-9]{1,3}\.[0-9a-f]{12}\.[A-Za-z0-9_-]+$": Shape(
        lambda length: "w1.0123456789ab.".ljust(max(17, length), "A"), "w1"
    ),
    r"^[ -~]*$": Shape(lambda length: "a" * length, "a\n"),
}
# Fields that a rule ties to others: what must stand beside them.
BESIDE: dict[tuple[str, Any], JsonObject] = {
    ("window.timeZone", None): {"calendar": "Day"},
    ("onExceeded.model", None): {"action": "Degrade"},
    ("accuracy.judge", None): {"onBreach": "Tighten"},
    ("route.quality", None): {"complexity": {"classifier": "Embedding"}},
    ("route.simpleShare", None): {"complexity": {"classifier": "Embedding"}},
    ("route.minQuality", None): {"complexity": {"classifier": "Embedding"}},
    ("minQuality.judge.type", "Model"): {"model": "a"},
    ("complexity.examples", None): {"classifier": "Embedding"},
    ("complexity.weights", None): {"classifier": "Embedding"},
    ("accuracy.judge.model", None): {"type": "Model"},
    ("accuracy.judge.type", "Model"): {"model": "a"},
    ("onExceeded.action", "Degrade"): {"model": "a"},
    ("models.endpoints", None): {"endpoint": "http://a"},
    ("embedding.provider", "OpenAICompatible"): {"endpoint": "http://a"},
    ("embedding.endpoint", None): {"provider": "OpenAICompatible"},
    ("embedding.credentialsRef", None): {"provider": "OpenAICompatible", "endpoint": "http://a"},
}
# What a TenantBudget of its scope cannot be without.
CALLER: JsonObject = {"apiKeys": [{"secretRef": {"name": "key"}}]}
SHARED: JsonObject = {"scope": "Namespace", "limits": [{"name": "a", "amount": "1"}]}
_DECIMAL = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"


@dataclass(frozen=True)
class Bound:
    path: str  # below spec, like "limits[].name"
    word: str
    inside: tuple[JsonObject, ...]
    outside: JsonObject
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'spec'} {self.word}"


def bounds_of(spec: JsonObject) -> Iterator[Bound]:
    """All of them, of the fields of a spec."""
    for path, schema in walk(spec):
        for word, inside, outside, at, complaint in _cases(schema):
            field = "spec" + (f".{path}" if path else "").replace("[]", "[0]")
            yield Bound(
                path,
                word,
                tuple(_placed(spec, path, value) for value in inside),
                _placed(spec, path, outside),
                f"{field}{at}: {complaint.replace('FIELD', field)}",
            )


Case = tuple[str, list[Any], Any, str, str]  # the word, values inside, one outside, where, what is said


def _cases(schema: JsonObject) -> Iterator[Case]:
    match schema["type"]:
        case "string":
            yield from _of_text(schema)
        case "integer":
            yield from _of_number(schema)
        case "array":
            yield from _of_list(schema)
        case "object":
            for name in schema.get("required", []):
                whole = smallest(schema)
                yield "required", [whole], _without(whole, name), f".{name}", "Required value"
            if most := schema.get("maxProperties"):
                inside, outside = ({f"a{n}": "" for n in range(count)} for count in (most, most + 1))
                said = f"Too many: {most + 1}: must have at most {most} items"
                yield "maxProperties", [inside], outside, "", said


def _of_text(schema: JsonObject) -> Iterator[Case]:
    if "enum" in schema:
        known = ", ".join(f'"{value}"' for value in schema["enum"])
        yield "enum", schema["enum"], "Other", "", f'Unsupported value: "Other": supported values: {known}'
        return
    pattern, most = schema.get("pattern"), schema["maxLength"]
    long = PATTERNS[pattern].long if pattern else lambda length: "a" * length
    said = f"Too long: may not be more than {most} bytes"
    yield "maxLength", [long(most)], long(most + 1), "", said
    if least := schema.get("minLength"):
        said = f'Invalid value: "": FIELD in body should be at least {least} chars long'
        yield "minLength", [long(least)], long(least - 1), "", said
    if pattern:
        wrong = PATTERNS[pattern].wrong
        said = f"Invalid value: {json.dumps(wrong)}: FIELD in body should match '{pattern}'"
        yield "pattern", [smallest(schema)], wrong, "", said


def _of_number(schema: JsonObject) -> Iterator[Case]:
    least, most = schema["minimum"], schema["maximum"]
    said = f"Invalid value: {least - 1}: FIELD in body should be greater than or equal to {least}"
    yield "minimum", [least], least - 1, "", said
    said = f"Invalid value: {most + 1}: FIELD in body should be less than or equal to {most}"
    yield "maximum", [most], most + 1, "", said


def _of_list(schema: JsonObject) -> Iterator[Case]:
    items, most, kind = schema["items"], schema["maxItems"], schema["x-kubernetes-list-type"]
    # Of an enum there may be fewer different values than there may be items.
    fitting = min(most, len(items.get("enum", range(most))))
    inside, outside = _different(items, fitting), _different(items, most + 1)
    yield "maxItems", [inside], outside, "", f"Too many: {most + 1}: must have at most {most} items"
    if least := schema.get("minItems"):
        said = f"Invalid value: {least - 1}: FIELD in body should have at least {least} items"
        yield "minItems", [_different(items, least)], _different(items, least - 1), "", said
    if kind == "atomic":
        yield (
            "atomic",
            [[smallest(items)] * 2],
            "no list",
            "",
            ('Invalid value: "string": FIELD in body must be of type array: "string"'),
        )
        return
    twice = [_different(items, 1)[0]] * 2
    shown = (
        twice[0] if kind == "set" else {key: twice[0][key] for key in schema["x-kubernetes-list-map-keys"]}
    )
    said = f"Duplicate value: {json.dumps(shown, separators=(',', ':'))}"
    yield kind, [_different(items, 2)], twice, "[1]", said


def _different(items: JsonObject, count: int) -> list[Any]:
    if "enum" in items:
        return [items["enum"][number % len(items["enum"])] for number in range(count)]
    if items["type"] == "string":
        # What a pattern wants to begin with, and a number.
        stem = smallest(items) if "pattern" in items and "http" in items["pattern"] else "a"
        return [f"{stem}{number}" for number in range(count)]
    whole = smallest(items)
    return [{**whole, "name": f"a{number}"} if "name" in whole else whole for number in range(count)]


def smallest(schema: JsonObject) -> Any:
    """A value with what is required and nothing besides."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "integer":
            return schema["minimum"]
        case "array":
            return _different(schema["items"], schema.get("minItems", 0))
        case "object":
            return {name: smallest(schema["properties"][name]) for name in schema.get("required", [])}
    pattern = schema.get("pattern")
    short = {_DECIMAL: 3, None: 1}.get(pattern, 9 if "http" in str(pattern) else 4)
    return PATTERNS[pattern].long(short) if pattern else "a" * short


def _placed(schema: JsonObject, path: str, value: Any) -> Any:
    """The smallest object with the value in its place."""
    if not path:
        return value
    if path.startswith("[]"):
        return [_placed(schema["items"], path[2:].lstrip("."), value)]
    name = path.replace("[]", ".[]").partition(".")[0]
    rest = path[len(name) :].lstrip(".")
    made: JsonObject = smallest(schema)
    made[name] = _placed(schema["properties"][name], rest, value)
    return made


def _without(whole: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in whole.items() if key != name}
