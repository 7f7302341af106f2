"""The simulated provider as an ASGI application: both shapes, one way through, and a control surface for tests."""

import asyncio
import base64
import hashlib
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tollway_cli.simulator.answers import answer_for, count_tokens, last_prompt, prompt_tokens, tokens
from tollway_cli.simulator.faults import RETRY_AFTER_S, STATUS, Fault, FaultKind, FaultPlan, checked
from tollway_cli.simulator.latency import Latency
from tollway_cli.simulator.ledger import Ledger
from tollway_cli.simulator.shapes import Answer, AnthropicShape, OpenAIShape, Shape
from tollway_cli.simulator.transport import KeepsTransport, break_connection, is_open

_STALL_S: Final = 600.0
_DEFAULT_DIMENSIONS: Final = 256
_DEAR: Final = 10

_MOST_INPUTS: Final = 2_048
_NUMBERS: Final = {
    "max_tokens": 10_000_000,
    "max_completion_tokens": 10_000_000,
    "n": 128,
    "dimensions": 8_192,
}


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    name: str = "simulator"
    seed: int = 0
    latency: Latency = field(default_factory=Latency)
    tokens_per_second: float = 0.0  # 0: all at once
    faults: tuple[Fault, ...] = ()
    context_window: int | None = None  # tokens; longer prompts really get the context-length error
    require_key: str | None = field(default=None, repr=False)


class Simulator:
    """`settings` is replaced at run time by the control surface."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._plan = FaultPlan(settings.faults, settings.seed)
        self._ledger = Ledger()
        self._draw = random.Random(settings.seed)  # noqa: S311 - a simulation that can be repeated

    def routes(self) -> list[Route]:
        return [
            Route("/v1/chat/completions", self._openai_chat, methods=["POST"]),
            Route("/v1/messages", self._anthropic_messages, methods=["POST"]),
            Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/control/faults", self._control_faults, methods=["GET", "PUT", "DELETE"]),
            Route("/control/requests", self._control_requests, methods=["GET", "DELETE"]),
        ]

    async def _openai_chat(self, request: Request) -> ASGIApp:
        authorization = request.headers.get("authorization", "")
        return await self._chat(request, OpenAIShape(), authorization.removeprefix("Bearer "))

    async def _anthropic_messages(self, request: Request) -> ASGIApp:
        return await self._chat(request, AnthropicShape(), request.headers.get("x-api-key", ""))

    async def _chat(self, request: Request, shape: Shape, key: str) -> ASGIApp:
        if self._settings.require_key is not None and key != self._settings.require_key:
            return _json(shape.unauthorized(), 401)
        body = _object(await request.body())
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return _json(shape.invalid("the body must be JSON with a list of messages"), 400)
        if (wrong := _wrong_number(body)) is not None:
            return _json(shape.invalid(wrong), 400)
        model = str(body.get("model", ""))
        self._ledger.saw(model, request.url.path, dict(request.headers), body)
        answer = self._answer(body, messages, model)
        fault = self._fault(request, model, answer.prompt_tokens)
        if fault is FaultKind.DEAR:
            answer = replace(answer, times=_DEAR)
        if fault is FaultKind.SILENT:
            answer = replace(answer, says_usage=False)
        if fault in {FaultKind.BLANK, FaultKind.WITHHELD}:
            answer = replace(answer, pieces=[], truncated=False, withheld=fault is FaultKind.WITHHELD)
        if fault in STATUS:
            self._ledger.ended(fault)
            headers = {"retry-after": str(RETRY_AFTER_S)} if fault is FaultKind.RATE_LIMIT else {}
            return _json(shape.error(fault, self._context(answer.prompt_tokens)), STATUS[fault], headers)
        delay = self._settings.latency.draw(self._draw)
        return _Reply(self, shape, answer, _Manner(bool(body.get("stream")), fault, delay, _user(body)))

    def _context(self, prompt: int) -> str:
        """What the context-length error says; one asked for by name makes the window just too small."""
        return f"{prompt} tokens > {self._settings.context_window or max(0, prompt - 1)}"

    def _answer(self, body: Mapping[str, object], messages: list[object], model: str) -> Answer:
        prompt = last_prompt(messages)
        system = body.get("system")
        pieces = tokens(model, answer_for(self._settings.name, model, prompt))
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        most = limit if isinstance(limit, int) else len(pieces)
        options = body.get("stream_options")
        choices = body.get("n")
        return Answer(
            id="sim-" + hashlib.sha256(f"{model} {prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:16],
            model=model,
            prompt_tokens=prompt_tokens(model, messages, [system] if isinstance(system, str) else []),
            pieces=pieces[:most],
            truncated=most < len(pieces),
            choices=choices if isinstance(choices, int) else 1,
            include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
        )

    def _fault(self, request: Request, model: str, prompt: int) -> FaultKind | None:
        wanted = request.headers.get("x-simulate-fault")
        if wanted in set(FaultKind):
            return FaultKind(wanted)
        window = self._settings.context_window
        if window is not None and prompt > window:
            return FaultKind.CONTEXT_LENGTH
        return self._plan.strike(model)

    async def _embeddings(self, request: Request) -> Response:
        shape = OpenAIShape()
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._settings.require_key is not None and key != self._settings.require_key:
            return _json(shape.unauthorized(), 401)
        body = _object(await request.body())
        inputs = body.get("input")
        if not inputs:
            return _json(shape.invalid("the body must be JSON with an input"), 400)
        texts = [str(each) for each in inputs] if isinstance(inputs, list) else [str(inputs)]
        if len(texts) > _MOST_INPUTS:
            return _json(shape.invalid(f"at most {_MOST_INPUTS} inputs are accepted"), 400)
        if (wrong := _wrong_number(body)) is not None:
            return _json(shape.invalid(wrong), 400)
        model = str(body.get("model", ""))
        self._ledger.saw(model, request.url.path, dict(request.headers), body)
        used = sum(count_tokens(model, text) for text in texts)
        fault = self._fault(request, model, used)
        await asyncio.sleep(self._settings.latency.draw(self._draw))
        if fault in STATUS:
            self._ledger.ended(fault)
            return _json(shape.error(fault, self._context(used)), STATUS[fault])
        wanted = body.get("dimensions")
        dimensions = wanted if isinstance(wanted, int) else _DEFAULT_DIMENSIONS
        vectors = [_vector(text, dimensions) for text in texts]
        data = [
            {
                "object": "embedding",
                "index": place,
                "embedding": _encoded(vector, body.get("encoding_format")),
            }
            for place, vector in enumerate(vectors)
        ]
        self._ledger.billed(_user(body), model, used, 0)
        self._ledger.ended("ok")
        usage = {"prompt_tokens": used, "total_tokens": used}
        return _json(orjson.dumps({"object": "list", "data": data, "model": model, "usage": usage}))

    async def _models(self, _: Request) -> Response:
        data = [{"id": self._settings.name, "object": "model", "created": 0, "owned_by": "simulator"}]
        return _json(orjson.dumps({"object": "list", "data": data}))

    async def _healthz(self, _: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def _control_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._plan.replace(())
            self._settings = replace(self._settings, context_window=None)
        if request.method == "PUT":
            try:
                body = orjson.loads(await request.body())
                given = body.get("faults", [])
                self._plan.replace([checked(Fault(FaultKind(each.pop("kind")), **each)) for each in given])
            except (ValueError, TypeError, KeyError, AttributeError) as exc:
                return _json(OpenAIShape().invalid(f"not a list of faults: {exc}"), 400)
            window = body.get("context_window")
            if window is not None and (type(window) is not int or window < 1):
                return _json(OpenAIShape().invalid("context_window must be a positive whole number"), 400)
            self._settings = replace(self._settings, context_window=window)
        active = [asdict(fault) for fault in self._plan.faults]
        return _json(
            orjson.dumps({"faults": active, "struck": {**self._plan.struck}}, option=orjson.OPT_NON_STR_KEYS)
        )

    async def _control_requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._ledger.reset()
        return _json(orjson.dumps(self._ledger.report()))


@dataclass(frozen=True, slots=True)
class _Manner:
    """How an answer is given, and who pays for it."""

    streaming: bool
    fault: FaultKind | None
    delay: float
    user: str


class _Reply:
    """Sends one answer in its time, watching for callers who leave. Billed is what was written until that was seen."""

    def __init__(self, simulator: Simulator, shape: Shape, answer: Answer, manner: _Manner) -> None:
        self._ledger, self._settings = simulator._ledger, simulator._settings  # noqa: SLF001 - two halves of one noun
        self._shape, self._answer, self._manner = shape, answer, manner
        self._fault = manner.fault
        self._written = 0  # tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._ledger.in_flight += 1
        work = asyncio.create_task(self._run(scope, send))
        gone = asyncio.create_task(_disconnect(receive))
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            outcome = work.result() if work.done() else "disconnected"
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.wait([work, gone])  # what was written is known when it has stopped
            self._ledger.in_flight -= 1
        self._ledger.ended(outcome)
        if outcome not in {FaultKind.RESET, FaultKind.EMPTY}:
            answer = self._answer
            whole = self._written == len(answer.pieces) and outcome != "disconnected"
            completion = answer.completion_tokens if whole else self._written * answer.choices
            self._ledger.billed(self._manner.user, answer.model, answer.prompt_tokens, completion)

    async def _run(self, scope: Scope, send: Send) -> str:
        if self._manner.delay:
            await asyncio.sleep(self._manner.delay)
        if self._fault is FaultKind.RESET:
            break_connection(scope, reset=True)
            return FaultKind.RESET
        if not self._manner.streaming:
            await self._send_whole(scope, send)
        elif not await self._send_stream(scope, send):
            return "disconnected"
        return self._fault or "ok"

    async def _send_whole(self, scope: Scope, send: Send) -> None:
        body = self._shape.completion(self._answer)
        if self._fault is not FaultKind.STALL:
            await self._write_whole()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._fault is FaultKind.STALL:
            await send({"type": "http.response.body", "body": body[:1], "more_body": True})
            await asyncio.sleep(_STALL_S)
        if self._fault in {FaultKind.CUT, FaultKind.UNBEGUN}:
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            break_connection(scope, reset=False)
            return
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _write_whole(self) -> None:
        pieces, pace, began = len(self._answer.pieces), self._settings.tokens_per_second, time.monotonic()
        try:
            await asyncio.sleep(pieces / pace if pace else 0.0)
            self._written = pieces
        except asyncio.CancelledError:
            self._written = min(pieces, int((time.monotonic() - began) * pace))
            raise

    async def _send_stream(self, scope: Scope, send: Send) -> bool:
        """Whether its caller stayed to the end."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._fault is FaultKind.STALL:
            await asyncio.sleep(_STALL_S)
        pace = 1 / self._settings.tokens_per_second if self._settings.tokens_per_second else 0.0
        for event, is_token in () if self._fault is FaultKind.EMPTY else self._shape.events(self._answer):
            if is_token and self._fault is FaultKind.UNBEGUN:
                await asyncio.sleep(0.01)
                break_connection(scope, reset=False)
                return True
            if is_token:
                half_sent = self._written >= len(self._answer.pieces) // 2
                if self._fault is FaultKind.SHORT and half_sent:
                    break
                if self._fault is FaultKind.CUT and half_sent:
                    await asyncio.sleep(0.01)  # lets what was sent leave before the connection breaks
                    break_connection(scope, reset=False)
                    return True
                if pace:
                    await asyncio.sleep(pace)
                if not is_open(scope):
                    return False
                self._written += 1
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True


def create_simulator(settings: SimulatorSettings) -> ASGIApp:
    return KeepsTransport(Starlette(routes=Simulator(settings).routes()))


def _object(body: bytes) -> Mapping[str, object]:
    """The body as an object; empty when it is not one."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _wrong_number(body: Mapping[str, object]) -> str | None:
    """What is wrong with the numbers we act on, in a provider's words."""
    for name, most in _NUMBERS.items():
        value = body.get(name)
        if value is not None and (type(value) is not int or not 1 <= value <= most):
            return f"{name} must be a whole number from 1 to {most}"
    return None


def _user(body: Mapping[str, object]) -> str:
    return str(body.get("user") or "")


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _vector(text: str, dimensions: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A unit vector that is the same for the same text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    unit: np.ndarray[tuple[int], np.dtype[np.float32]] = vector / np.linalg.norm(vector)
    return unit


def _encoded(vector: np.ndarray[tuple[int], np.dtype[np.float32]], encoding: object) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.tobytes()).decode()
    return [float(value) for value in vector]


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, dict(headers or {}), media_type="application/json")
