"""Refusals, and whatever else went wrong, in OpenAI's error shape. One of the two places that may catch everything;
nothing about the inside of the process ever reaches a caller.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.errors import Refusal, RefusalCode

_TYPE_OF_STATUS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_body(refusal: Refusal) -> bytes:
    default = "invalid_request_error" if refusal.status < 500 else "api_error"
    error = {
        "message": refusal.message,
        "type": _TYPE_OF_STATUS.get(refusal.status, default),
        "param": refusal.param,
        "code": refusal.code,
    }
    return orjson.dumps({"error": error})


def error_response(refusal: Refusal, headers: Mapping[str, str]) -> JsonReply:
    return JsonReply(error_body(refusal), {**headers, **refusal.headers}, refusal.status)


def malformed_http() -> Refusal:
    """For bytes that are no HTTP request, before there is anything to route."""
    return Refusal(
        400, RefusalCode.INVALID_REQUEST, "this is not a valid HTTP/1.1 request; check its first lines"
    )


def head_too_large(most: int) -> Refusal:
    """For headers without an end (RFC 6585, 5)."""
    message = f"the request's headers are larger than {most} bytes; send less in them"
    return Refusal(431, RefusalCode.TOO_LARGE, message)


def internal_error() -> Refusal:
    """For what nobody foresaw. The log has the cause, under the request's id."""
    message = "something went wrong inside the gateway; its log has the cause under this request's id"
    return Refusal(500, RefusalCode.INTERNAL, message)


def shutting_down() -> Refusal:
    """For what takes longer than a process that ends may wait."""
    message = "this gateway's process had to end before the answer was whole; please send the request again"
    return Refusal(503, RefusalCode.SHUTTING_DOWN, message, headers={"retry-after": "1"})


def wrong_method(allowed: str) -> Refusal:
    message = f"this path answers {allowed}"
    return Refusal(405, RefusalCode.METHOD_NOT_ALLOWED, message, headers={"allow": allowed})


def unknown_path(path: str, paths: str) -> Refusal:
    return Refusal(404, RefusalCode.NOT_FOUND, f"no such path: {path[:128]}; there are: {paths}")
