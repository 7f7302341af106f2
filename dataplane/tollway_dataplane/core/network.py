"""The learned part of the judge: a small network with one hidden layer of tanh beside a logistic regression, over
standardised features. Pure; `tools/judge_training.py` makes one, `judge` asks it.
"""

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
# Standard deviations; what is farther out than anything it was trained on says no more than that.
_FARTHEST: Final = 6.0


@dataclass(frozen=True)
class Network:
    middle: Doubles  # one a feature
    spread: Doubles
    hidden: Doubles  # (features, units)
    shift: Doubles  # one a unit
    out: Doubles  # one a unit
    direct: Doubles  # one a feature
    bias: float

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Self:
        """Raises KeyError for a part that is missing, ValueError for parts that do not fit each other."""
        parts = {
            field.name: np.array(content[field.name], dtype=np.float64)
            for field in fields(cls)
            if field.name != "bias"
        }
        found = cls(**parts, bias=float(content["bias"]))
        if found.hidden.shape != (len(found.middle), len(found.out)):
            raise ValueError("the parts of the network do not fit each other")
        return found

    def standardised(self, table: Doubles) -> Doubles:
        """In standard deviations of what it was trained on."""
        # What `np.clip` gives, without what that does around it.
        found: Doubles = np.minimum(np.maximum((table - self.middle) / self.spread, -_FARTHEST), _FARTHEST)
        return found

    def logits(self, table: Doubles) -> Doubles:
        """The logit of each row of a table, or of one row."""
        x = self.standardised(table)
        found: Doubles = np.tanh(x @ self.hidden + self.shift) @ self.out + x @ self.direct + self.bias
        return found
