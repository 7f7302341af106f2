"""Amazon Bedrock's Converse and ConverseStream, whose events are frames of AWS's own.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …/API_runtime_ConverseStream.html;
frames: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import orjson

from tests.dataplane.providers.wire import ARGUMENTS, PICTURE, SCHEMA, Failure, Json, ScriptedReply, model
from tollway_api.snapshot import Model

STOPS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "guardrail_intervened",
}


@dataclass(frozen=True)
class Bedrock:
    name: str = "Amazon Bedrock"
    stream_type: str = "application/vnd.amazon.eventstream"

    @property
    def model(self) -> Model:
        return model("bedrock/us.amazon.nova-lite-v1:0")

    def path(self, *, stream: bool) -> str:
        return f"/model/us.amazon.nova-lite-v1%3A0/converse{'-stream' if stream else ''}"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["authorization"].removeprefix("Bearer ")

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, thought=0)

    def whole(self, said: ScriptedReply) -> Json:
        text = [{"text": "".join(said.text)}] if said.text else []
        tool = [{"toolUse": {"toolUseId": "tooluse_1", "name": said.tool, "input": ARGUMENTS}}]
        content = [*text, *(tool if said.tool else [])]
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": STOPS[said.finish],
            "usage": _usage(said),
            "metrics": {"latencyMs": 350},
        }

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        return [frame("event", kind, body) for kind, body in _events(said)]

    @property
    def failures(self) -> Mapping[str, Failure]:
        return {
            "key": _error(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
            "rate": _error(429, "ThrottlingException", "Too many requests, please wait.", after="7"),
            "broken": _error(500, "InternalServerException", "The system encountered an unexpected error."),
            "busy": _error(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
            "overflow": _error(400, "ValidationException", "Input is too long for requested model."),
            "wrong": _error(400, "ValidationException", "The topP must be at most 1."),
        }  # fmt: skip

    @property
    def broken_off(self) -> bytes:
        return frame("exception", "throttlingException", {"message": "Too many tokens."})

    @property
    def request(self) -> Json:
        parts = [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": PICTURE}}}]
        spec = {"name": "look_up", "description": "Looks a word up.", "inputSchema": {"json": SCHEMA}}
        return {
            "system": [{"text": "Be terse."}],
            "messages": [{"role": "user", "content": parts}],
            "inferenceConfig": {"temperature": 0.5, "maxTokens": 90, "stopSequences": ["END"]},
            "toolConfig": {"tools": [{"toolSpec": spec}]},
        }


def _usage(said: ScriptedReply) -> Json:
    fresh = said.prompt - said.cached - said.written
    return {
        "inputTokens": fresh,
        "outputTokens": said.answer,
        "totalTokens": said.prompt + said.answer,
        "cacheReadInputTokens": said.cached,
        "cacheWriteInputTokens": said.written,
    }


def _events(said: ScriptedReply) -> Iterator[tuple[str, Json]]:
    yield "messageStart", {"role": "assistant", "p": "abcdefg"}
    arguments = orjson.dumps(ARGUMENTS).decode()
    deltas: list[Json] = [{"text": each} for each in said.text]
    if said.tool:
        start = {"toolUse": {"toolUseId": "tooluse_1", "name": said.tool}}
        yield "contentBlockStart", {"contentBlockIndex": 0, "start": start, "p": "abc"}
        deltas = [{"toolUse": {"input": each}} for each in (arguments[:4], arguments[4:])]
    for delta in deltas:
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": delta, "p": "abcd"}
    yield "contentBlockStop", {"contentBlockIndex": 0, "p": "ab"}
    yield "messageStop", {"stopReason": STOPS[said.finish], "p": "a"}
    yield "metadata", {"usage": _usage(said), "metrics": {"latencyMs": 350}, "p": "abcdef"}


def frame(message_type: str, kind: str, body: Json) -> bytes:
    """Lengths and their checksum, headers, payload, checksum of all."""
    headers = {
        f":{message_type}-type": kind,
        ":content-type": "application/json",
        ":message-type": message_type,
    }
    head = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + b"\x07"
        + struct.pack("!H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    payload = orjson.dumps(body)
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


def _error(status: int, kind: str, message: str, after: str = "") -> Failure:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    return Failure(status, {"message": message}, {**headers, **({"retry-after": after} if after else {})})
