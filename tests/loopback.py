"""Plain HTTP to servers that a test has begun. `httpx.get` and its like read every authority of the world for each
request, in case it is to be encrypted: 40 ms of a processor.
"""

from collections.abc import Mapping
from typing import Any

import httpx


def get(url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return _request("GET", url, headers=headers)


def post(url: str, **sent: Any) -> httpx.Response:
    """`sent` as httpx takes it: json, content, headers, timeout."""
    return _request("POST", url, **sent)


def _request(method: str, url: str, **sent: Any) -> httpx.Response:
    with httpx.Client(verify=False) as client:  # noqa: S501 - nothing here is encrypted
        return client.request(method, url, **sent)
