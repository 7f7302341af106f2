"""What a data-plane pod may do when it is told of a snapshot, instead of running it."""

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Fault:
    """Stands between the operator and a pod, and does what it is told."""

    def __init__(self) -> None:
        self.kind = ""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            reply: Response | None = None
            match self.kind:
                case "hangs":
                    await asyncio.sleep(3600)
                case "dawdles":
                    await asyncio.sleep(3)
                case "rejects":
                    state = {"revision": "0" * 12, "digest": "0" * 64, "rejected": "no room for it"}
                    reply = JSONResponse(state, 409)
                case "lies":
                    reply = JSONResponse({"revision": "0" * 12, "digest": "0" * 64})
                case "babbles":
                    reply = Response(b"\x00\xff" * 1000)
                case "breaks":
                    reply = Response(status_code=500)
            await (reply or app)(scope, receive, send)

        return faulty
