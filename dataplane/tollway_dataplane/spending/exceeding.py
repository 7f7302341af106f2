"""A budget that has no room for a request, and what its caller is told. Raised by `budgets`; whoever asked it decides
whether there is another way.
"""

from typing import Final

from tollway_api.snapshot import Tenant
from tollway_dataplane.core.allowances import Allowance, rate_limit_headers, what_is_left
from tollway_dataplane.core.budgeting import Denied, on_exceeded
from tollway_dataplane.errors import Refusal, RefusalCode

# OpenAI's clients wait no longer than this for a refusal to pass. Where it takes longer they would ask again within
# seconds, in vain, unless they are told not to.
_LONGEST_RETRY_S: Final = 60


class Exceeded(Exception):  # noqa: N818 - control flow between two stages, caught by the caller of `hold`
    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.limit.title)
        self.denied = denied


def refusal(tenant: Tenant, denied: Denied) -> Refusal:
    """The polite 429: the budget's own message, the limit's name, what is left of it, and when to come back, or that it
    is no use.
    """
    limit = denied.limit
    message = (
        f"{on_exceeded(tenant, limit).message} (limit {limit.title!r}: {what_is_left(limit, denied.left)})"
    )
    is_hopeless = denied.asked > limit.amount
    if is_hopeless and limit.amount:
        message = (
            f"this request alone could take more than limit {limit.title!r} ever allows; "
            "send a smaller max_tokens or a shorter prompt"
        )
    headers = rate_limit_headers([Allowance(limit, denied.left, denied.retry_after_s)])
    headers |= {"retry-after": str(denied.retry_after_s), "x-tollway-limit": limit.title}
    if is_hopeless or denied.retry_after_s > _LONGEST_RETRY_S:
        headers["x-should-retry"] = "false"
    return Refusal(429, RefusalCode.BUDGET_EXCEEDED, message, headers=headers)
