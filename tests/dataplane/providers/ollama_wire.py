"""Ollama's chat, whose stream is one JSON object a line. https://github.com/ollama/ollama/blob/main/docs/api.md"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from tests.dataplane.providers.wire import ARGUMENTS, PICTURE, TOOL, Failure, Json, ScriptedReply, model
from tollway_api.snapshot import Model


@dataclass(frozen=True)
class Ollama:
    name: str = "Ollama"
    stream_type: str = "application/x-ndjson"

    @property
    def model(self) -> Model:
        return model("ollama_chat/llama3.2")

    def path(self, *, stream: bool) -> str:
        del stream  # the body says it
        return "/api/chat"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["authorization"].removeprefix("Bearer ")

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, cached=0, written=0, thought=0)

    def whole(self, said: ScriptedReply) -> Json:
        return _line("".join(said.text), said, done=True)

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        none = replace(said, tool="")
        pieces = said.text or [""]
        lines = [_line(each, said if said.tool else none, done=False) for each in pieces]
        return [orjson.dumps(each) + b"\n" for each in [*lines, _line("", none, done=True)]]

    @property
    def failures(self) -> Mapping[str, Failure]:
        return {
            "key": Failure(401, {"error": "unauthorized"}),
            "rate": Failure(429, {"error": "too many requests"}, {"retry-after": "7"}),
            "broken": Failure(500, {"error": "llama runner process has terminated"}),
            "busy": Failure(
                503, {"error": "server busy, please try again. maximum pending requests exceeded"}
            ),
            "wrong": Failure(400, {"error": "invalid options: top_p"}),
        }

    @property
    def broken_off(self) -> bytes:
        return b'{"error":"an error was encountered while running the model"}\n'

    @property
    def request(self) -> Json:
        return {
            "model": "llama3.2",
            "messages": [
                {"role": "system", "content": "Be terse.", "images": []},
                {"role": "user", "content": "What is this?", "images": [PICTURE]},
            ],
            "options": {"temperature": 0.5, "num_predict": 90, "stop": ["END"]},
            "tools": [TOOL],
        }


def _line(text: str, said: ScriptedReply, *, done: bool) -> Json:
    calls = [{"function": {"name": said.tool, "arguments": ARGUMENTS}}]
    message = {"role": "assistant", "content": text, **({"tool_calls": calls} if said.tool else {})}
    head: Json = {"model": "llama3.2", "created_at": "2026-11-01T12:00:00.000000Z", "message": message}
    counts = {"total_duration": 4_883_583_458, "prompt_eval_count": said.prompt, "eval_count": said.answer}
    reason = "length" if said.finish == "length" else "stop"
    return {**head, "done": done, **({"done_reason": reason, **counts} if done else {})}
