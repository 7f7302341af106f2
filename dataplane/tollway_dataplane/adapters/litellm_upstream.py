"""Calls every provider that is not OpenAI-compatible through LiteLLM, as a library: this is the one file that
imports it. The import takes seconds and 220 MB, so it happens once, in a thread, when a snapshot first needs it. Its
connections live in its globals, as long as the process.
"""

import asyncio
import importlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import aclosing, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import orjson

from tollway_api.reach import PUBLIC, Reach
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Model
from tollway_dataplane.adapters.answer_bounds import MOST_BYTES, too_large
from tollway_dataplane.adapters.litellm_arguments import arguments_of
from tollway_dataplane.core.attempts import trigger_of
from tollway_dataplane.core.completions import error_in, is_whole, usage_of
from tollway_dataplane.core.facts import JsonObject, Operation
from tollway_dataplane.core.reply_shapes import are_embeddings, is_chunk, is_completion
from tollway_dataplane.core.retry_after import wait_of
from tollway_dataplane.errors import EndpointForbidden, UpstreamFault
from tollway_dataplane.heap import growing
from tollway_dataplane.ports import Chunk, Completion, UpstreamCall


class LiteLLMUpstream:
    """`load` must have been awaited before the first call."""

    def __init__(self, reach: Reach = PUBLIC) -> None:
        self._reach = reach
        self._litellm: Any = None
        self._loading = asyncio.Lock()
        self._providers: frozenset[str] = frozenset()  # whose first calls import next to nothing

    async def load(self, models: Iterable[Model] = ()) -> None:
        """Imports LiteLLM, with what the first calls of these would import on the event loop, and without letting it
        fetch its price table from the network.
        """
        providers = frozenset(model.upstream_id.partition("/")[0] for model in models)
        async with self._loading:
            if self._litellm is None:
                self._litellm = await asyncio.to_thread(_import_litellm, self._reach)
            if new := providers - self._providers:
                await asyncio.to_thread(_import_late, new)
                self._providers |= new

    async def complete(self, call: UpstreamCall) -> Completion:
        await self.load()
        is_embedding = call.operation is Operation.EMBEDDINGS
        function = self._litellm.aembedding if is_embedding else self._litellm.acompletion
        asking = _Asking()
        arguments = arguments_of(self._litellm, call) | {"logger_fn": asking.note}
        async with self._faults(call, asking), asyncio.timeout(call.timeout_s):
            response = await function(**arguments)
            completion = _written(response)
            fits = (
                are_embeddings(completion, call.fields["input"])
                if is_embedding
                else is_completion(completion)
            )
            if not fits:
                raise _nonsense()
            body = orjson.dumps(completion)
        return Completion(body, usage_of(completion), is_whole(completion), completion)

    @asynccontextmanager
    async def stream(self, call: UpstreamCall) -> AsyncIterator[AsyncIterator[Chunk]]:
        await self.load()
        asking = _Asking()
        arguments = {
            **arguments_of(self._litellm, call),
            "logger_fn": asking.note,
            "stream": True,
            "stream_options": call.stream_options,
            "timeout": call.idle_s,  # the library's own, which is also between chunks
        }
        async with self._faults(call, asking), asyncio.timeout(call.timeout_s):
            response = await self._litellm.acompletion(**arguments)
        async with aclosing(response), aclosing(self._chunks(response, call, asking)) as chunks:
            yield chunks

    async def _chunks(
        self, response: Any, call: UpstreamCall, asking: "_Asking"
    ) -> AsyncGenerator[Chunk, None]:
        """Raises UpstreamFault itself: what goes wrong in here is met by whoever asks for the next chunk."""
        async with self._faults(call, asking):
            while True:
                async with asyncio.timeout(call.idle_s):
                    part = await anext(response, None)
                if part is None:
                    return
                if _is_made_up(part, response, asking):
                    raise UpstreamFault(
                        FallbackTrigger.CONNECTION, 200, "the stream broke off", may_have_run=True
                    )
                event = _written(part)
                if not is_chunk(event):
                    raise _nonsense()
                if (
                    usage_of(event) is None
                ):  # LiteLLM says that nothing was used where the provider says nothing
                    event = {name: value for name, value in event.items() if name != "usage"}
                if event.get("choices") or "usage" in event:
                    yield Chunk(orjson.dumps(event), event)

    @asynccontextmanager
    async def _faults(self, call: UpstreamCall, asking: "_Asking") -> AsyncIterator[None]:
        """LiteLLM's exceptions as ours."""
        _ASKING.set(asking)
        root = self._litellm.exceptions.openai.OpenAIError  # of all of its own
        try:
            yield
        except (TimeoutError, root, *_SLIPS) as exc:
            unasked = None if asking.begun else self._unasked(exc, call)
            fault = unasked or self._translated(exc, asking)
            fault.may_have_run = fault.may_have_run or asking.is_answered
            raise fault from exc

    def _unasked(self, exc: Exception, call: UpstreamCall) -> UpstreamFault | None:
        """What it means that LiteLLM failed before it asked the provider: mostly that it does not know what to make of
        the request, which no other attempt would change. None when that is not it.
        """
        bad_request = isinstance(exc, self._litellm.exceptions.BadRequestError)
        if not bad_request and not any(map(_is_slip, (exc, exc.__cause__ or exc.__context__))):
            return None
        if any(words in str(exc).lower() for words in _SETUP_WORDS):
            return UpstreamFault(FallbackTrigger.SERVER_ERROR, None, "the model is not set up")
        if isinstance(exc, self._litellm.ImageFetchError):
            message = (
                "a picture could not be fetched from its address; send the picture itself, as a data: URL"
            )
            return UpstreamFault(None, None, message)
        fields = ", ".join(name for name in _STRUCTURED if call.fields.get(name) is not None)
        message = f"the model {call.model.name} cannot be given this request; check the types and names in: {fields}"
        return UpstreamFault(None, None, message)

    def _translated(self, exc: Exception, asking: "_Asking") -> UpstreamFault:
        """By the provider's own reply, where there was one: what LiteLLM takes a status for depends on the provider."""
        errors = self._litellm.exceptions
        if own := next((fault for name, fault in _OWN.items() if _lies_under(exc, {name})), None):
            return own()
        if isinstance(exc, errors.ContentPolicyViolationError):
            return UpstreamFault(FallbackTrigger.CONTENT_FILTER, 400, _sentence_under(exc))
        if isinstance(exc, errors.ContextWindowExceededError) and not asking.is_answered:
            return UpstreamFault(FallbackTrigger.CONTEXT_OVERFLOW, 400, "the prompt is too long")
        if asking.status is not None and not asking.is_answered:
            # That it is the key that is wrong is LiteLLM's finding where Gemini says no more than 400.
            is_key = asking.status == 400 and isinstance(exc, errors.AuthenticationError)
            return _refused(exc, 401 if is_key else asking.status)
        if _lies_under(exc, _UNCONNECTED):  # which LiteLLM calls a Timeout, where it took long
            return UpstreamFault(FallbackTrigger.CONNECTION, None, "could not connect", unsent=True)
        if isinstance(exc, TimeoutError | errors.Timeout):
            return UpstreamFault(FallbackTrigger.TIMEOUT, None, "no answer in time", may_have_run=True)
        # LiteLLM calls an answer that it could not read a broken connection as well.
        is_silent = isinstance(exc, errors.APIConnectionError) and not asking.is_answered
        if _lies_under(exc, _BROKEN_OFF) or is_silent:
            return UpstreamFault(
                FallbackTrigger.CONNECTION, None, "the connection broke", may_have_run=asking.begun
            )
        fault = _nonsense() if isinstance(exc, _SLIPS) else _refused(exc, _status_of(exc))
        if asking.is_answered:  # success with an error inside is the provider's confusion, not the request's
            fault.trigger, fault.status = FallbackTrigger.SERVER_ERROR, asking.status
        return fault


@dataclass(slots=True)
class _Asking:
    """How far one call of LiteLLM's has come: it tells whom it is to log to that it has begun to ask the provider, and
    its client what came.
    """

    begun: bool = False
    status: int | None = None  # of the provider's reply
    ended: bool | None = None  # whether a stream of Gemini's has said why it ends

    @property
    def is_answered(self) -> bool:
        return self.status is not None and self.status < 400

    def note(self, details: Mapping[str, object]) -> None:
        self.begun = self.begun or details.get("log_event_type") == "pre_api_call"


# Whose reply it is that a client of LiteLLM's reads: LiteLLM hands nothing through that would say so.
_ASKING: Final[ContextVar[_Asking]] = ContextVar("asking")


def _note_status(status: int) -> None:
    """A picture that LiteLLM fetches before it asks is not meant."""
    asking = _ASKING.get(None)
    if asking is not None and asking.begun:
        asking.status = status


# What code raises that trusted its input.
_SLIPS: Final = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
# What LiteLLM says when it misses something of ours.
_SETUP_WORDS: Final = ("api key", "api_key", "api_base", "base url", "credentials", "environment variable")
_NO_SENTENCE: Final = "an error without an explanation"
_MOST_SENTENCE: Final = 64 * 1024  # characters; what is longer explains nothing
# The fields of a request that are more than a number or a text.
_STRUCTURED: Final = (
    "messages input tools tool_choice functions function_call response_format stop logit_bias modalities audio "
    "prediction thinking web_search_options"
).split()


class _MalformedEventError(ValueError):
    """An event of a stream that is no JSON object."""


def _nonsense() -> UpstreamFault:
    message = "the provider's answer was not understood"
    return UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, message, may_have_run=True)


# By name, since they are of a library that is LiteLLM's business.
_UNCONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout"})
_BROKEN_OFF: Final = frozenset({"RemoteProtocolError", "ReadError", "WriteError", "CloseError"})
# Our own, here and in the file that needs their library.
_OWN: Final[Mapping[str, Callable[[], UpstreamFault]]] = {
    "AnswerTooLargeError": too_large,
    "ForbiddenAddressError": EndpointForbidden,
    "_MalformedEventError": _nonsense,
}


def _refused(exc: Exception, status: int) -> UpstreamFault:
    message = _sentence_under(exc)
    trigger = trigger_of(status, _code_under(exc), message)
    return UpstreamFault(trigger, status, message, _retry_after(exc, _reply_under(exc)))


def _status_of(exc: Exception) -> int:
    """What LiteLLM takes it for: of an error in a reply that was a success whatever that has as its code."""
    status = str(getattr(exc, "status_code", ""))
    return int(status) if len(status) == 3 and status.isdecimal() else 500


def _written(answer: Any) -> JsonObject:
    """Without warnings of what is not of the type that LiteLLM expects, which would repeat it. A message has `content`
    also where it has no text, as OpenAI's has.
    """
    written: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True, warnings=False)
    choices = written.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            choice["message"].setdefault("content", None)
    return written


def _lies_under(exc: BaseException, names: AbstractSet[str]) -> bool:
    """Whether one of these has led to it."""
    return any(type(each).__name__ in names for each in _led_to(exc))


def _led_to(exc: BaseException | None) -> Iterator[BaseException]:
    """The exception, and those before it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _reply_under(exc: BaseException) -> Any:
    """The provider's own reply, which the first of all has. LiteLLM makes up others on the way."""
    replies = [getattr(each, "response", None) for each in _led_to(exc)]
    return next((each for each in reversed(replies) if each is not None), None)


async def _not_again(*_: object, **__: object) -> None:
    """Instead of LiteLLM's second try on a connection that broke, which nobody counts. Called where the exception is
    handled, which goes on.
    """
    raise  # noqa: PLE0704 - see above


def _unasked_info(_: object, model: str, *__: object, **___: object) -> JsonObject:
    """What LiteLLM takes an Ollama model for when its server does not say. It would ask whichever server is on this
    machine, before each request, and everybody would wait for that.
    """
    return {"key": model, "litellm_provider": "ollama", "mode": "chat", "max_tokens": None}


# Lines that bring nothing: of server-sent events, and where each is an object.
_NO_EVENT: Final = re.compile(r"(?:event|id|retry)?:.*|(?:data:)?\s*(?:\[DONE\])?\s*")
_BLANK: Final = re.compile(r"\s*")


def _strict(handle: Callable[[Any, str], Any], no_event: re.Pattern[str]) -> Callable[[Any, str], Any]:
    """Otherwise LiteLLM passes over an event that is no JSON object, and what is left is taken for a whole answer,
    although a piece is missing in the middle; as it is where it takes a text that has `[DONE]` in it for the end.
    """

    @wraps(handle)
    def handled(events: Any, str_line: str) -> Any:
        if no_event.fullmatch(str_line):
            return handle(events, str_line)
        event = events.string_to_dict_parser(str_line)
        if not isinstance(event, dict):
            raise _MalformedEventError
        return events.chunk_parser(event) if event else handle(events, str_line)

    return handled


def _object_only(read: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same of the library that LiteLLM asks some providers by."""

    @wraps(read)
    def only(event: Any) -> object:
        if not isinstance(value := read(event), dict):
            raise _MalformedEventError
        return value

    return only


def _noting_ends(choice_of: Callable[..., Any]) -> Callable[..., Any]:
    """LiteLLM finds "stop" in every piece of a stream of Gemini's that does not say why it ends."""

    @wraps(choice_of)
    def noted(*, candidate: Mapping[str, object], **more: object) -> Any:
        if (asking := _ASKING.get(None)) is not None:
            asking.ended = bool(asking.ended or candidate.get("finishReason"))
        return choice_of(candidate=candidate, **more)

    return noted


def _is_slip(exc: BaseException | None) -> bool:
    return isinstance(exc, _SLIPS) or type(exc) is Exception


# What LiteLLM imports where it is first used: together a second of a processor, for which nobody would be answered.
# What is left to each provider's first call takes milliseconds.
_IMPORTED_LATE: Final = (
    "anyio._backends._asyncio",
    "httpcore",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.llms.azure.chat.gpt_transformation",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.vertex_ai.context_caching.vertex_ai_context_caching",
    "litellm.proxy.openai_files_endpoints.common_utils",
    "litellm.types.litellm_core_utils.streaming_chunk_builder_utils",
)
_AMAZON, _OPENAI = "boto3.exceptions", "openai.resources.beta.assistants"
# Of that, what only some providers' calls need, and two thirds of a second; any other may need all of it.
_IMPORTED_FOR: Final = {
    "anthropic": (),
    "azure": (_OPENAI,),
    "bedrock": (_AMAZON,),
    "gemini": (),
    "mistral": (),
    "ollama": (),
    "ollama_chat": (),
}


def _import_late(providers: Iterable[str]) -> None:
    names = (name for each in providers for name in _IMPORTED_FOR.get(each, (_AMAZON, _OPENAI)))
    with growing():
        for name in (*_IMPORTED_LATE, *names):
            with suppress(ImportError):  # another version may have it elsewhere, and finds it itself
                importlib.import_module(name)


def _import_litellm(reach: Reach) -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with growing():
        litellm: Any = importlib.import_module("litellm")
        importlib.import_module("litellm.exceptions")
    _silence()
    litellm.telemetry = False
    litellm.disable_aiohttp_transport = True  # httpx closes with the process; its sessions complain
    litellm.suppress_debug_info = True
    # It would count itself what a provider has not counted, without saying so, and fetch a tokenizer for that on the
    # event loop.
    litellm.disable_token_counter = True
    litellm.disable_hf_tokenizer_download = True
    # What LiteLLM knows a provider not to have is left out, so that a request may fall back to any provider.
    litellm.drop_params = True
    # It would break off a stream of a hundred equal chunks, although the provider goes on and is paid.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    handler = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler
    handler.single_connection_post_request = _not_again
    _bound_clients_of(handler, "create_client", reach)
    openais = importlib.import_module("litellm.llms.openai.common_utils").BaseOpenAILLM
    _bound_clients_of(openais, "_get_async_http_client", reach)
    _read_events_strictly()
    gemini = importlib.import_module(
        "litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini"
    ).VertexGeminiConfig
    gemini._create_streaming_choice = staticmethod(_noting_ends(gemini._create_streaming_choice))  # noqa: SLF001 - see above
    importlib.import_module(
        "litellm.llms.ollama.common_utils"
    ).OllamaModelInfo.get_runtime_model_info = _unasked_info
    return litellm


def _read_events_strictly() -> None:
    events = importlib.import_module("litellm.llms.base_llm.base_model_iterator").BaseModelResponseIterator
    handle = events._handle_string_chunk  # noqa: SLF001 - all others go by it
    events._handle_string_chunk = _strict(handle, _NO_EVENT)  # noqa: SLF001 - see above
    # Ollama's stream is one object a line, and has no lines of another kind.
    lines = importlib.import_module(
        "litellm.llms.ollama.chat.transformation"
    ).OllamaChatCompletionResponseIterator
    lines._handle_string_chunk = _strict(handle, _BLANK)  # noqa: SLF001 - see above
    event = importlib.import_module("openai._streaming").ServerSentEvent
    event.json = _object_only(event.json)


def _bound_clients_of(owner: Any, name: str, reach: Reach) -> None:
    """Whatever client LiteLLM makes by this, of which it keeps some in its caches, reads no answer without an end and
    asks nobody whom it may not.
    """
    bounds = importlib.import_module("tollway_dataplane.adapters.bounded_httpx")
    made = getattr(owner, name)

    @wraps(made)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        client = made(*args, **kwargs)
        bounds.bound(client, MOST_BYTES, _note_status)
        bounds.confine(client, reach)
        return client

    setattr(owner, name, staticmethod(bounded) if isinstance(vars(owner)[name], staticmethod) else bounded)


def _silence() -> None:
    """It logs requests where they surprise it, and no log may hold a prompt or an answer. What matters of its failures
    is in ours.
    """
    for name in ("litellm", "LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)  # loggers below it ask for this one's level, too
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


def _is_made_up(part: Any, response: Any, asking: _Asking) -> bool:
    """Whether LiteLLM ends the stream in the provider's name. It says "stop" wherever a stream ends, also where the
    provider gave no reason, because its answer broke off in the middle or never began.
    """
    if asking.ended is False and any(choice.finish_reason == "stop" for choice in part.choices):
        return True
    ends = any(choice.finish_reason for choice in part.choices)
    reasons = (
        getattr(response, name, "unknown")
        for name in ("received_finish_reason", "intermittent_finish_reason")
    )
    return ends and not any(reasons)


def _sentence_under(exc: BaseException) -> str:
    """The provider's own, from its body where one of the exceptions has that; else from what LiteLLM made of it."""
    said = next(filter(None, (said for _, said in _errors_under(exc))), "")
    return said or _sentence(str(getattr(exc, "message", exc)))


def _code_under(exc: BaseException) -> str:
    """The provider's own, by which many that speak OpenAI's format say what is wrong with a request."""
    return next(filter(None, (code for code, _ in _errors_under(exc))), "")


def _errors_under(exc: BaseException) -> Iterator[tuple[str, str]]:
    bodies = (getattr(each, name, "") for each in _led_to(exc) for name in ("body", "message"))
    return map(_error_in, bodies)


def _sentence(text: str) -> str:
    """The same in what LiteLLM makes of a reply: `litellm.BadRequestError: AnthropicException - {JSON}`, or a sentence
    in place of the JSON. Anything else is LiteLLM's, for whoever runs its proxy.
    """
    _, found, said = text.partition("Exception")
    said = said.partition("- ")[2].strip()
    if said.startswith(("{", "b'{")):
        return _error_in(said)[1] or _NO_SENTENCE
    return (found and _plain(said)) or _NO_SENTENCE


def _error_in(body: object) -> tuple[str, str]:
    """Code and sentence of an error's JSON; empty where it is none, or has none."""
    if isinstance(body, dict):
        code, said = error_in(body)
        return code, _plain(said)
    text = str(body).strip().removeprefix("b'").removesuffix("'")
    if not text.startswith("{"):
        return "", ""
    try:
        return _error_in(json.JSONDecoder().raw_decode(text)[0])
    except json.JSONDecodeError:
        return "", ""


def _plain(said: str) -> str:
    """Its first line, unless that is LiteLLM's own."""
    said = said.partition("\n")[0]
    return "" if len(said) > _MOST_SENTENCE or "litellm" in said.lower() else said


# Google says it in the body alone (google.rpc.RetryInfo).
_RETRY_DELAY: Final = re.compile(r'"retryDelay":\s*"(\d{1,6}(?:\.\d{1,9})?)s"')


def _retry_after(exc: Exception, reply: Any) -> float | None:
    said = wait_of(reply.headers, time.time()) if reply is not None else None
    found = _RETRY_DELAY.search(str(exc)) if said is None else None
    return float(found[1]) if found else said
