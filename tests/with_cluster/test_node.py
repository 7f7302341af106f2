"""The node itself."""

import pytest

from tools.node import traces
from tools.node.layout import layout


def test_what_a_node_could_leave_is_seen_while_it_is_up() -> None:
    """So that nothing being seen when it is down says something."""
    node = layout()
    if node.running() is None:
        pytest.skip("NO NODE OF OURS: this is another cluster")
    seen = {each.split()[0] for each in traces.left(node, traces.namespaces(node))}
    assert seen == {"process", "folder"}
