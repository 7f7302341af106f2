"""The learned part of the judge: from its file, and what it says."""

from typing import Any

import numpy as np
import pytest

from tollway_dataplane.core.network import Network

CONTENT: dict[str, Any] = {
    "middle": [1.0, 0.0], "spread": [2.0, 1.0], "hidden": [[1.0], [0.0]], "shift": [0.0], "out": [3.0],
    "direct": [0.0, 2.0], "bias": -1.0,
}  # fmt: skip


def test_a_row_and_a_table_of_it_say_the_same() -> None:
    network = Network.parse(CONTENT)
    row = np.array([3.0, 0.5])
    assert float(network.logits(row)) == pytest.approx(3 * np.tanh(1.0) + 2 * 0.5 - 1)
    assert network.logits(np.stack([row, row])) == pytest.approx(float(network.logits(row)))


def test_what_is_farther_out_than_what_it_learned_from_says_no_more() -> None:
    network = Network.parse(CONTENT)
    far, farther = np.array([1.0, 6.0]), np.array([1.0, 600.0])
    assert float(network.logits(far)) == float(network.logits(farther))


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Network.parse({**CONTENT, "out": [1.0, 2.0]})
    with pytest.raises(KeyError):
        Network.parse({name: value for name, value in CONTENT.items() if name != "out"})
