"""What a later CustomResourceDefinition takes away from who uses an earlier one. Pure. Each difference is a sentence
that begins with the place, so that one made on purpose can be named.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

JsonSchema = Mapping[str, Any]

# Raising these, or lowering those, refuses what was taken before; so does setting one where there was none.
_LEAST: Final = ("minimum", "minLength", "minItems", "minProperties")
_MOST: Final = ("maximum", "maxLength", "maxItems", "maxProperties")
_FIXED: Final = (
    "type", "format", "pattern", "default", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
)  # fmt: skip

_NEVER, _ALWAYS = float("-inf"), float("inf")


def breaks(old: JsonSchema, new: JsonSchema) -> list[str]:
    """Of two definitions of one kind."""
    return [*_names(old["spec"], new["spec"]), *_versions(old["spec"], new["spec"])]


def _names(old: JsonSchema, new: JsonSchema) -> Iterator[str]:
    for field in ("group", "scope"):
        if old[field] != new[field]:
            yield f"{field}: it was {old[field]}"
    for field, name in old["names"].items():
        gone = set(name) - set(new["names"].get(field, [])) if isinstance(name, list) else set()
        if gone or (isinstance(name, str) and new["names"].get(field) != name):
            yield f"names.{field}: it was {name}"


def _versions(old: JsonSchema, new: JsonSchema) -> Iterator[str]:
    later = {version["name"]: version for version in new["versions"]}
    for version in old["versions"]:
        name = version["name"]
        if name not in later or (version["served"] and not later[name]["served"]):
            yield f"{name}: it is no longer served"
            continue
        after = later[name]
        yield from _schema(
            version["schema"]["openAPIV3Schema"], after["schema"]["openAPIV3Schema"], f"{name}:"
        )
        for what, key in (("selectableFields", "jsonPath"), ("additionalPrinterColumns", "name")):
            kept = {each[key] for each in after.get(what, [])}
            for each in version.get(what, []):
                if each[key] not in kept:
                    yield f"{name}: {what} has lost {each[key]}"


def _schema(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[str]:
    yield from _said_of_itself(old, new, path)
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{path}.{name} is now required"
    for name, child in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            yield from _schema(child, new["properties"][name], f"{path}.{name}")
        else:
            yield f"{path}.{name} is gone"
    if "items" in old and "items" in new:
        yield from _schema(old["items"], new["items"], f"{path}[]")


def _said_of_itself(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[str]:
    tightened = [word for word in _LEAST if new.get(word, _NEVER) > old.get(word, _NEVER)]
    tightened += [word for word in _MOST if new.get(word, _ALWAYS) < old.get(word, _ALWAYS)]
    changed = [word for word in _FIXED if old.get(word) != new.get(word)]
    for word in (*changed, *tightened):
        yield f"{path} {word} was {old.get(word)!r} and is {new.get(word)!r}"
    if "enum" in new and (gone := sorted(set(old.get("enum", ["anything"])) - set(new["enum"]))):
        yield f"{path} enum has lost {', '.join(gone)}"
    known = {rule["rule"] for rule in old.get("x-kubernetes-validations", [])}
    for rule in new.get("x-kubernetes-validations", []):
        if rule["rule"] not in known:
            yield f"{path} there is a new rule: {rule['rule']}"
