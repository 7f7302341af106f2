"""`value`: what `dataclass(frozen=True, slots=True)` says, for what each request makes. That its fields are not set is
checked by mypy alone: to freeze an object Python sets each of its fields through `object.__setattr__`, which takes five
times as long as to set it, and a request makes thirty such objects.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(kind: type[_T]) -> type[_T]:
    return dataclass(slots=True, unsafe_hash=True)(kind)
