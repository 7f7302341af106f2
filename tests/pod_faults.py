"""What a data-plane pod may do when it is told of a snapshot, instead of running it."""

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Fault:
    """Stands between the operator and a pod, and does what it is told."""

    def __init__(self) -> None:
        self.kind = ""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            reply: Response | None = None
            match self.kind:
                case "stammers":
                    await app(scope, receive, _in_pieces(send))
                    return
                case "hangs":
                    await asyncio.sleep(3600)
                case "dawdles":
                    await asyncio.sleep(3)
                case "rejects":
                    state = {"revision": "0" * 12, "digest": "0" * 64, "rejected": "no room\x1b for it\ufffe"}
                    reply = JSONResponse(state, 409)
                case "lies":
                    reply = JSONResponse({"revision": "0" * 12, "digest": "0" * 64})
                case "babbles":
                    reply = Response(b"\x00\xff" * 1000)
                case "breaks":
                    reply = Response(status_code=500)
            await (reply or app)(scope, receive, send)

        return faulty


def _in_pieces(send: Send) -> Send:
    async def stammering(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) < 2:
            await send(message)
            return
        await send({**message, "body": body[:1], "more_body": True})
        await asyncio.sleep(0.1)
        await send({**message, "body": body[1:]})

    return stammering
