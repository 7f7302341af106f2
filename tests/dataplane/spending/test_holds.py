"""What one attempt reserves, and what was counted of it."""

from tests.budgets import FREE_OF_CHARGE
from tests.tenants import tenant
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.spending.holds import Hold


def test_of_an_answer_that_was_ended_what_its_provider_has_not_counted_was_counted_here() -> None:
    hold = Hold("r.0", tenant(), FREE_OF_CHARGE, Usage(100, 1_000), (), standing=False)
    hold.prompt, hold.written = 12, 34
    assert hold.seen == Usage(12, 34, estimated=True)
    hold.reported = Usage(15, 0)
    assert hold.seen == Usage(15, 34, estimated=True)
    hold.reported = Usage(15, 40)
    assert hold.seen == Usage(15, 40)
