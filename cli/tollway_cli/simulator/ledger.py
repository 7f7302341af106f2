"""What the simulated provider saw and would bill for, and to which of its users (`user` of a request's body), so that
tests can hold it against what Tollway says.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

_KEPT: Final = 50
_SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key"})


class Ledger:
    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        self._total = 0
        self._by_model: Counter[str] = Counter()
        self._by_outcome: Counter[str] = Counter()
        self._bills: dict[str, dict[str, Counter[str]]] = {}
        self._last: deque[dict[str, object]] = deque(maxlen=_KEPT)

    def saw(self, model: str, path: str, headers: Mapping[str, str], body: Mapping[str, object]) -> None:
        self._total += 1
        self._by_model[model] += 1
        kept = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        self._last.append({"path": path, "headers": kept, "body": dict(body)})

    def ended(self, outcome: str) -> None:
        self._by_outcome[str(outcome)] += 1

    def billed(self, user: str, model: str, prompt: int, completion: int) -> None:
        bill = self._bills.setdefault(user, {}).setdefault(model, Counter())
        bill.update({"prompt": prompt, "completion": completion})

    def report(self) -> dict[str, object]:
        tokens: dict[str, Counter[str]] = {}
        for bills in self._bills.values():
            for model, bill in bills.items():
                tokens.setdefault(model, Counter()).update(bill)
        return {
            "total": self._total,
            "in_flight": self.in_flight,
            "by_model": dict(self._by_model),
            "by_outcome": dict(self._by_outcome),
            "tokens": tokens,
            "bills": self._bills,
            "last": list(self._last),
        }
