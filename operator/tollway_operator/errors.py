"""The operator's errors.

    OperatorError
    ├── StoreFault      Redis did not do what it was asked
    └── PublishFault    the snapshot could not be written

A user's mistake is never one of these: it is a Problem.
"""


class OperatorError(Exception):
    """The root of everything this package raises on purpose."""


class StoreFault(OperatorError):  # noqa: N818 - named for what it is in this house: an operational fault
    """The message names the server's role and what was attempted, never its password."""


class PublishFault(OperatorError):  # noqa: N818 - see StoreFault
    """The message names the file."""
