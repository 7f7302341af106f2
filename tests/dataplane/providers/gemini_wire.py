"""Google's Gemini API. https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/troubleshooting"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.dataplane.providers.wire import (
    ARGUMENTS,
    PICTURE,
    SCHEMA,
    Failure,
    Json,
    ScriptedReply,
    model,
    sse,
)
from tollway_api.snapshot import Model

STOPS: Mapping[str, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}


@dataclass(frozen=True)
class Gemini:
    name: str = "Gemini"
    stream_type: str = "text/event-stream"

    @property
    def model(self) -> Model:
        return model("gemini/gemini-2.5-flash")

    def path(self, *, stream: bool) -> str:
        base = "/models/gemini-2.5-flash"
        return f"{base}:streamGenerateContent?alt=sse" if stream else f"{base}:generateContent"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["x-goog-api-key"]

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, written=0)

    def _reply(self, said: ScriptedReply, parts: Sequence[Json], finish: str | None) -> Json:
        """`candidatesTokenCount` is without what was thought."""
        candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {
            "promptTokenCount": said.prompt,
            "cachedContentTokenCount": said.cached,
            "candidatesTokenCount": said.answer - said.thought,
            "thoughtsTokenCount": said.thought,
            "totalTokenCount": said.prompt + said.answer,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": said.prompt}],
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": said.cached}],
        }
        ended = {"finishReason": finish} if finish else {}
        return {
            "candidates": [{**candidate, **ended}],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r-1",
        }

    def whole(self, said: ScriptedReply) -> Json:
        parts = [{"text": "".join(said.text)}] if said.text else []
        return self._reply(said, [*parts, *_calls(said)], STOPS[said.finish])

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        parts = [[{"text": each}] for each in said.text] + ([_calls(said)] if said.tool else [])
        ends = [None] * (len(parts) - 1) + [STOPS[said.finish]]
        return sse(
            *(self._reply(said, each, end) for each, end in zip(parts, ends, strict=True)), end="\r\n\r\n"
        )

    @property
    def failures(self) -> Mapping[str, Failure]:
        invalid = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
        long = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        return {
            "key": _error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", invalid),
            "rate": _error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", retry),
            "broken": _error(500, "INTERNAL", "An internal error has occurred."),
            "busy": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
            "overflow": _error(400, "INVALID_ARGUMENT", long),
            "wrong": _error(400, "INVALID_ARGUMENT", "topP must be in the range [0, 1]."),
        }  # fmt: skip

    @property
    def broken_off(self) -> bytes:
        return sse({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})[
            0
        ]

    @property
    def request(self) -> Json:
        parts = [{"text": "What is this?"}, {"inline_data": {"mime_type": "image/png", "data": PICTURE}}]
        tool = {"name": "look_up", "description": "Looks a word up.", "parameters": SCHEMA}
        settings = {"temperature": 0.5, "max_output_tokens": 90, "stop_sequences": ["END"]}
        return {
            "system_instruction": {"parts": [{"text": "Be terse."}]},
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": settings,
            "tools": [{"function_declarations": [tool]}],
        }


def _calls(said: ScriptedReply) -> list[Json]:
    return [{"functionCall": {"name": said.tool, "args": ARGUMENTS}}] if said.tool else []


def _error(status: int, kind: str, message: str, *details: Json) -> Failure:
    error = {"code": status, "message": message, "status": kind, "details": list(details)}
    return Failure(status, {"error": error})
