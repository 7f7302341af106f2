"""The console: a page for people on the admin port, and the figures behind it. It reads and changes nothing.

The page wants the admin token like everything else there that is no probe, as the password of HTTP's Basic scheme: a
browser asks for it by itself and sends it along with what the page fetches, so that no script of ours ever has it. What
changes anything wants it as a bearer: a browser sends a password also where another site's page has told it to.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

PATH: Final = "/console"
_PAGES: Final = files("tollway_dataplane.edge").joinpath("pages")
_FILES: Final = {
    PATH: ("console.html", "text/html"),
    f"{PATH}/console.css": ("console.css", "text/css"),
    f"{PATH}/console.js": ("console.js", "text/javascript"),
}
# Nothing of elsewhere, nothing inline, in nobody's frame; what it said is not kept on the way or by the browser.
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_CHALLENGE: Final = {
    "www-authenticate": 'Basic realm="Tollway: any name, and the admin token", charset="UTF-8"'
}

# Whether this is the Authorization header of somebody who may look.
Knows = Callable[[str], bool]
State = Callable[[], Awaitable[Mapping[str, object]]]


def console_routes(state: State, knows: Knows) -> list[Route]:
    def let_in(request: Request) -> bool:
        return knows(_as_bearer(request.headers.get("authorization", "")))

    def page(file: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
        content = _PAGES.joinpath(file).read_bytes()

        async def show(request: Request) -> Response:
            return Response(content, 200, _HEADERS, media_type) if let_in(request) else _stranger()

        return show

    async def figures(request: Request) -> Response:
        if not let_in(request):
            return _stranger()
        return Response(orjson.dumps(await state()), 200, _HEADERS, "application/json")

    pages = [Route(path, page(*file), methods=["GET"]) for path, file in _FILES.items()]
    return [*pages, Route(f"{PATH}/state", figures, methods=["GET"])]


def _as_bearer(authorization: str) -> str:
    """What a password of the Basic scheme would be as a bearer (RFC 7617, section 2); anything else as it is."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        _, _, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return f"Bearer {password}"


def _stranger() -> Response:
    return PlainTextResponse("the admin token is missing or wrong", 401, {**_HEADERS, **_CHALLENGE})
