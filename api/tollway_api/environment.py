"""Settings that a process is told by its environment, and how `--help` shows them. A settings class is a dataclass
whose fields say in their annotation, as a text, what they are for; its variables are `TOLLWAY_` and their names in
capitals.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Final, TypeVar, get_type_hints

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from tollway_api.reach import Reach
from tollway_api.redis_url import check_ledger_url, check_redis_url

PREFIX: Final = "TOLLWAY_"
_WIDTH: Final = 100

S = TypeVar("S")

RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
LedgerUrl = Annotated[str, AfterValidator(check_ledger_url)]


def listed(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def names(value: object) -> object:
    """Of a text with commas between them."""
    return listed(value) if isinstance(value, str) else value


def _reachable(opened: tuple[str, ...]) -> tuple[str, ...]:
    Reach.of(opened)
    return opened


# As `Reach` reads them.
Opened = Annotated[
    tuple[str, ...],
    BeforeValidator(names),
    AfterValidator(_reachable),
    "Networks and hosts, with commas between them, in which endpoints may be beside those on the internet, such as "
    "10.20.0.0/16, vllm.models.svc or *.models.svc.cluster.local.",
]


class SettingsError(Exception):
    """A variable is missing or makes no sense; the message names it."""


def settings_from(environ: Mapping[str, str], settings: type[S]) -> S:
    """Both planes know two Redis, and count where they remember unless told otherwise. Raises SettingsError."""
    given = {
        field.name: text
        for field in fields(settings)  # type: ignore[arg-type]  # a dataclass, by this module's rule
        if (text := environ.get(_variable(field.name)))
    }
    if any(field.name == "cache_redis_url" for field in fields(settings)):  # type: ignore[arg-type]  # see above
        if "cache_redis_url" not in given:
            raise SettingsError(
                "TOLLWAY_CACHE_REDIS_URL is not set; write it like redis://redis-cache:6379/0"
            )
        given.setdefault("ledger_redis_url", given["cache_redis_url"])
    try:
        return TypeAdapter(settings).validate_python(given)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = _variable(str(first["loc"][0]))
        # A URL may hold a password, so that one is not repeated.
        given_value = "" if name.endswith("_URL") else f" {first['input']!r}:"
        raise SettingsError(f"{name} is{given_value} {first['msg']}") from exc


def as_environment(settings: object) -> dict[str, str]:
    """Of a settings object: the variables by which another process is told the same, defaults aside."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings) if each.init}  # type: ignore[arg-type]  # see above
    defaults = {each.name: each.default for each in fields(settings)}  # type: ignore[arg-type]  # see above
    return {
        _variable(name): ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value != defaults[name]
    }


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def described(settings: type) -> str:
    """One entry a variable: its name, its default, and what it is for."""
    hints = get_type_hints(settings, include_extras=True)
    entries = []
    for field in fields(settings):
        words = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, str)]
        text = f"{' '.join(words)} {_default(field)}"
        body = textwrap.fill(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        entries.append(f"  {_variable(field.name)}\n{body}")
    return "\n".join(entries)


def _default(field: "Field[Any]") -> str:
    if field.default is MISSING:
        return ""
    return f"Default: {field.default}." if field.default not in ("", (), None) else "Default: none."
