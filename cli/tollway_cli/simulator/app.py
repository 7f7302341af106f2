"""The simulated provider as an ASGI application: both shapes, one way through, and a control surface for tests."""

import asyncio
import base64
import hashlib
import random
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
from tollway_cli.simulator.transport import KeepsTransport, break_connection

_STALL_S: Final = 600.0
_DEFAULT_DIMENSIONS: Final = 256


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
        self._plan = FaultPlan(settings.faults)
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
        if fault in STATUS:
            self._ledger.ended(fault)
            headers = {"retry-after": str(RETRY_AFTER_S)} if fault is FaultKind.RATE_LIMIT else {}
            return _json(shape.error(fault, self._context(answer.prompt_tokens)), STATUS[fault], headers)
        delay = self._settings.latency.draw(self._draw)
        return _Reply(self, shape, answer, bool(body.get("stream")), fault, delay)

    def _context(self, prompt: int) -> str:
        """What the context-length error says; one asked for by name makes the window just too small."""
        return f"{prompt} tokens > {self._settings.context_window or max(0, prompt - 1)}"

    def _answer(self, body: Mapping[str, object], messages: list[object], model: str) -> Answer:
        prompt = last_prompt(messages)
        system = body.get("system")
        pieces = tokens(answer_for(self._settings.name, model, prompt))
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        most = limit if isinstance(limit, int) else len(pieces)
        options = body.get("stream_options")
        choices = body.get("n")
        return Answer(
            id="sim-" + hashlib.sha256(f"{model} {prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:16],
            model=model,
            prompt_tokens=prompt_tokens(messages, [system] if isinstance(system, str) else []),
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
        return self._plan.strike(model, self._draw)

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
        fault = self._fault(request, model, sum(map(count_tokens, texts)))
        await asyncio.sleep(self._settings.latency.draw(self._draw))
        if fault in STATUS:
            self._ledger.ended(fault)
            return _json(shape.error(fault, self._context(sum(map(count_tokens, texts)))), STATUS[fault])
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
        used = sum(map(count_tokens, texts))
        self._ledger.billed(model, used, 0)
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


class _Reply:
    """Sends one answer in its time, watching for callers who leave."""

    def __init__(
        self,
        simulator: Simulator,
        shape: Shape,
        answer: Answer,
        streaming: bool,
        fault: FaultKind | None,
        delay: float,
    ) -> None:
        self._ledger, self._settings = simulator._ledger, simulator._settings  # noqa: SLF001 - two halves of one noun
        self._shape, self._answer = shape, answer
        self._streaming, self._fault, self._delay = streaming, fault, delay
        self._sent_tokens = 0

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
            self._ledger.in_flight -= 1
        self._ledger.ended(outcome)
        if self._streaming and outcome in {"disconnected", FaultKind.CUT, FaultKind.SHORT}:
            self._ledger.billed(self._answer.model, self._answer.prompt_tokens, self._sent_tokens)
        if outcome == "ok":
            self._ledger.billed(
                self._answer.model, self._answer.prompt_tokens, self._answer.completion_tokens
            )

    async def _run(self, scope: Scope, send: Send) -> str:
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._fault is FaultKind.RESET:
            break_connection(scope, reset=True)
            return FaultKind.RESET
        await (self._send_stream(scope, send) if self._streaming else self._send_whole(scope, send))
        return self._fault or "ok"

    async def _send_whole(self, scope: Scope, send: Send) -> None:
        body = self._shape.completion(self._answer)
        if self._settings.tokens_per_second:
            await asyncio.sleep(len(self._answer.pieces) / self._settings.tokens_per_second)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._fault is FaultKind.STALL:
            await send({"type": "http.response.body", "body": body[:1], "more_body": True})
            await asyncio.sleep(_STALL_S)
        if self._fault is FaultKind.CUT:
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            break_connection(scope, reset=False)
            return
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_stream(self, scope: Scope, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._fault is FaultKind.STALL:
            await asyncio.sleep(_STALL_S)
        pace = 1 / self._settings.tokens_per_second if self._settings.tokens_per_second else 0.0
        for event, is_token in () if self._fault is FaultKind.EMPTY else self._shape.events(self._answer):
            if is_token:
                half_sent = self._sent_tokens >= len(self._answer.pieces) // 2
                if self._fault is FaultKind.SHORT and half_sent:
                    break
                if self._fault is FaultKind.CUT and half_sent:
                    await asyncio.sleep(0.01)  # lets what was sent leave before the connection breaks
                    break_connection(scope, reset=False)
                    return
                if pace:
                    await asyncio.sleep(pace)
                self._sent_tokens += 1
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
