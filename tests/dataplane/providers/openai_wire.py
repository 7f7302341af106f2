"""OpenAI's format, and those that are hardly another: Azure's deployments, Mistral, and vLLM with its extras.

https://platform.openai.com/docs/api-reference/chat, https://learn.microsoft.com/azure/ai-foundry/openai/reference,
https://docs.mistral.ai/api, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from tests.dataplane.providers.wire import ARGUMENTS, REQUEST, Failure, Json, ScriptedReply, model, sse
from tollway_api.snapshot import Model, Protocol

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class OpenAI:
    name: str = "OpenAI"
    stream_type: str = "text/event-stream; charset=utf-8"

    @property
    def model(self) -> Model:
        return model("gpt-4o", Protocol.OPENAI)

    def path(self, *, stream: bool) -> str:
        del stream  # the body says it
        return "/chat/completions"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["authorization"].removeprefix("Bearer ")

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, written=0)

    def message(self, said: ScriptedReply) -> Json:
        called = {"name": said.tool, "arguments": orjson.dumps(ARGUMENTS).decode()}
        calls = [{"id": "call_1", "type": "function", "function": called}]
        content = "".join(said.text) or None
        message: Json = {"role": "assistant", "content": content}
        return {**message, **({"tool_calls": calls} if said.tool else {})}

    def usage(self, said: ScriptedReply) -> Json:
        return {
            "prompt_tokens": said.prompt,
            "completion_tokens": said.answer,
            "total_tokens": said.prompt + said.answer,
            "prompt_tokens_details": {"cached_tokens": said.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": said.thought, "audio_tokens": 0},
        }

    def whole(self, said: ScriptedReply) -> Json:
        choice = {"index": 0, "message": self.message(said), "logprobs": None, "finish_reason": said.finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_764_000_000}
        return {**head, "model": "m-2026", "choices": [choice], "usage": self.usage(said)}

    def deltas(self, said: ScriptedReply) -> list[Json]:
        text: list[Json] = [{"content": piece} for piece in said.text]
        if not said.tool:
            return text
        arguments = orjson.dumps(ARGUMENTS).decode()
        begun: Json = {"id": "call_1", "type": "function", "function": {"name": said.tool, "arguments": ""}}
        pieces: list[Json] = [{"function": {"arguments": each}} for each in (arguments[:4], arguments[4:])]
        return [*text, *({"tool_calls": [{"index": 0, **each}]} for each in (begun, *pieces))]

    def chunk(self, *choices: Json, **more: object) -> Json:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000}
        return {**head, "model": "m-2026", "choices": list(choices), **more}

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}, *self.deltas(said)]
        events = [self.chunk({"index": 0, "delta": each, "finish_reason": None}) for each in deltas]
        end = self.chunk({"index": 0, "delta": {}, "finish_reason": said.finish})
        return [*sse(*events, end, self.chunk(usage=self.usage(said))), DONE]

    @property
    def failures(self) -> Mapping[str, Failure]:
        return {
            "key": _openai(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: key-***st."),
            "rate": _openai(429, "requests", "rate_limit_exceeded", "Rate limit reached for gpt-4o.", after="7"),
            "broken": _openai(500, "server_error", None, "The server had an error."),
            "busy": _openai(503, "server_error", None, "The engine is currently overloaded."),
            "overflow": _openai(
                400,
                "invalid_request_error",
                "context_length_exceeded",
                "This model's maximum context length is 128000 tokens.",
            ),
            "filter": _openai(
                400, "invalid_request_error", "content_policy_violation", "Rejected by our safety system."
            ),
            "wrong": _openai(400, "invalid_request_error", None, "Invalid value for 'top_p'."),
        }  # fmt: skip

    @property
    def broken_off(self) -> bytes:
        return sse({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})[
            0
        ]

    @property
    def request(self) -> Json:
        return {**REQUEST, "model": "gpt-4o"}


def _openai(status: int, kind: str, code: str | None, message: str, after: str = "") -> Failure:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Failure(status, {"error": error}, {"retry-after": after} if after else {})


@dataclass(frozen=True)
class VLLM(OpenAI):
    """With the fields of its own, and its errors, which older versions send without an `error` around them."""

    name: str = "vLLM"

    @property
    def model(self) -> Model:
        return model("served-model", Protocol.OPENAI)

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, written=0, thought=0)

    def usage(self, said: ScriptedReply) -> Json:
        return {
            "prompt_tokens": said.prompt,
            "total_tokens": said.prompt + said.answer,
            "completion_tokens": said.answer,
            "prompt_tokens_details": {"cached_tokens": said.cached},
        }

    def message(self, said: ScriptedReply) -> Json:
        return {**super().message(said), "reasoning_content": None, "refusal": None, "function_call": None}

    def whole(self, said: ScriptedReply) -> Json:
        extras = {"prompt_logprobs": None, "kv_transfer_params": None, "service_tier": None}
        return {**super().whole(said), **extras}

    @property
    def failures(self) -> Mapping[str, Failure]:
        return {
            "key": Failure(401, {"error": "Unauthorized"}),
            "broken": Failure(500, _flat("InternalServerError", "EngineCore encountered an issue.", 500)),
            "busy": Failure(503, _flat("ServiceUnavailableError", "The server is overloaded.", 503)),
            "overflow": Failure(
                400,
                _flat("BadRequestError", "This model's maximum context length is 4096 tokens.", 400),
            ),
            "wrong": Failure(400, _flat("BadRequestError", "top_p must be in (0, 1].", 400)),
        }  # fmt: skip

    @property
    def request(self) -> Json:
        return {**REQUEST, "model": "served-model"}


def _flat(kind: str, message: str, code: int) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


@dataclass(frozen=True)
class Azure(OpenAI):
    """A deployment's path, its version in the query, `api-key`, and what its content filter found."""

    name: str = "Azure OpenAI"
    version: str = "2025-02-01-preview"
    deployment: str = "gpt-4o"

    @property
    def model(self) -> Model:
        return model("azure/gpt-4o")

    def path(self, *, stream: bool) -> str:
        del stream
        return f"/openai/deployments/{self.deployment}/chat/completions?api-version={self.version}"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["api-key"]

    def whole(self, said: ScriptedReply) -> Json:
        found = {"hate": {"filtered": False, "severity": "safe"}}
        whole = super().whole(said)
        results = [{"prompt_index": 0, "content_filter_results": found}]
        return {**whole, "prompt_filter_results": results, "system_fingerprint": "fp_1"}

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        found = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        first: Json = {"choices": [], "created": 0, "id": "", "model": "", "object": "", **found}
        return [*sse(first), *super().stream(said)]

    @property
    def failures(self) -> Mapping[str, Failure]:
        inner = {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"jailbreak": {"filtered": True}},
        }
        filtered = {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's policy.",
            "type": None, "param": "prompt", "code": "content_filter", "status": 400, "innererror": inner,
        }  # fmt: skip
        rate = {
            "code": "429",
            "message": "Requests have exceeded the call rate limit. Please retry after 7 seconds.",
        }
        return {
            **super().failures,
            "key": Failure(
                401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}
            ),
            "rate": Failure(429, {"error": rate}, {"retry-after": "7", "retry-after-ms": "7000"}),
            "filter": Failure(400, {"error": filtered}),
        }


@dataclass(frozen=True)
class Mistral(OpenAI):
    """Usage comes with the last chunk of the answer, and errors in shapes of its own."""

    name: str = "Mistral"

    @property
    def model(self) -> Model:
        return model("mistral/mistral-small-latest")

    def path(self, *, stream: bool) -> str:
        del stream
        return "/v1/chat/completions"

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, cached=0, written=0, thought=0)

    def usage(self, said: ScriptedReply) -> Json:
        return {
            "prompt_tokens": said.prompt,
            "completion_tokens": said.answer,
            "total_tokens": said.prompt + said.answer,
        }

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}, *self.deltas(said)]
        events = [self.chunk({"index": 0, "delta": each, "finish_reason": None}) for each in deltas]
        last = {"index": 0, "delta": {"content": ""}, "finish_reason": said.finish}
        return [*sse(*events, self.chunk(last, usage=self.usage(said))), DONE]

    @property
    def failures(self) -> Mapping[str, Failure]:
        long = "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"
        return {
            "key": Failure(401, {"detail": "Unauthorized"}),
            "rate": Failure(
                429, {**_flat("rate_limited", "Rate limit exceeded", 1300)}, {"retry-after": "7"}
            ),
            "broken": Failure(500, {**_flat("internal_server_error", "Internal Server Error", 3000)}),
            "busy": Failure(503, {**_flat("service_unavailable", "Service unavailable.", 3505)}),
            "overflow": Failure(400, {**_flat("invalid_request_prompt", long, 3051)}),
            "wrong": Failure(400, {**_flat("invalid_request", "Invalid top_p", 1500)}),
        }

    @property
    def request(self) -> Json:
        parts = [{"type": "text", "text": "What is this?"}, PICTURE_AS_TEXT]
        messages = [REQUEST["messages"][0], {"role": "user", "content": parts}]
        return {**REQUEST, "messages": messages, "model": "mistral-small-latest"}


PICTURE_AS_TEXT: Json = {
    "type": "image_url",
    "image_url": REQUEST["messages"][1]["content"][1]["image_url"],
}
