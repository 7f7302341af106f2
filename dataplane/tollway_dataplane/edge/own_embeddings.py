"""The embed server's `POST /v1/embeddings`, as OpenAI's clients ask it, and what admits their keys."""

import base64
import hmac
from collections.abc import Collection, Sequence
from typing import Final

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp

from tollway_dataplane.core.facts import EmbeddingsRequest, Usage
from tollway_dataplane.edge.callers import CallerWatch
from tollway_dataplane.edge.endpoint import Admit, Edge
from tollway_dataplane.edge.incoming import Incoming
from tollway_dataplane.edge.replies import JsonReply
from tollway_dataplane.edge.reply_headers import headers_of
from tollway_dataplane.edge.wire_format import parse_embeddings
from tollway_dataplane.embed_queue import EmbedQueue, Write
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.judgement.judge import ENCODER
from tollway_dataplane.ports import Vector
from tollway_dataplane.record import Record

PATHS: Final = "POST /v1/embeddings, GET /v1/models"


def admit_by(digests: Collection[str]) -> Admit:
    """Whoever has one of these keys, or anybody where there are none."""

    def admit(caller: str | None, _: Record) -> None:
        if digests and not any(hmac.compare_digest(caller or "", digest) for digest in digests):
            message = 'the API key is missing or wrong; send it as "Authorization: Bearer <your key>"'
            raise Refusal(401, RefusalCode.INVALID_API_KEY, message)

    return admit


def served_models(edge: Edge, request: Incoming, record: Record) -> Sequence[str]:
    """Raises Refusal to whom they are not told."""
    edge.caller(request, record)
    return [ENCODER]


def own_embeddings_route(edge: Edge, vectors: EmbedQueue, dimensions: int) -> Route:
    async def handle(request: Incoming, record: Record) -> ASGIApp:
        edge.caller(request, record)
        body = await edge.json_body(request)
        asked = parse_embeddings(body, request.headers, record.request_id)
        texts, write = _texts_of(asked), _writing_of(asked, dimensions)
        record.model = asked.model
        with CallerWatch(request.receive):
            written, tokens = await vectors.of(texts, write)
        record.usage = Usage(tokens, 0)
        usage = orjson.dumps({"prompt_tokens": tokens, "total_tokens": tokens})
        head = b'{"object":"list","model":%b,"usage":%b,"data":[' % (orjson.dumps(asked.model), usage)
        return JsonReply(b"%b%b]}" % (head, b",".join(written)), headers_of(record))

    return edge.route("POST", "/v1/embeddings", "embeddings", handle)


def _texts_of(asked: EmbeddingsRequest) -> Sequence[str]:
    """Raises Refusal for another model, and for token ids."""
    if asked.model != ENCODER:
        message = f"no model {asked.model[:128]!r}; there is: {ENCODER}"
        raise Refusal(404, RefusalCode.MODEL_NOT_FOUND, message, "model")
    inputs = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    texts = [each for each in inputs if isinstance(each, str)]
    if len(texts) < len(inputs):
        # Theirs are mostly those of OpenAI's tokenizers, and would be taken for other words.
        raise _refused("input", "token ids are of some other model's tokenizer; send texts")
    return texts


def _writing_of(asked: EmbeddingsRequest, dimensions: int) -> Write:
    """Raises Refusal for vectors of another length, or in another form."""
    if asked.parameters.get("dimensions") not in {None, dimensions}:
        raise _refused("dimensions", f"vectors of {ENCODER} have {dimensions}; leave it out")
    match asked.parameters.get("encoding_format"):
        case None | "float":
            return _decimals
        case "base64":
            return _base64
        case _:
            raise _refused("encoding_format", "must be float or base64")


def _refused(field: str, message: str) -> Refusal:
    return Refusal(400, RefusalCode.INVALID_REQUEST, f"{field}: {message}", field)


def _decimals(place: int, vector: Vector) -> bytes:
    """As few digits as are read back to the same numbers."""
    return _embedding(place, orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))


def _base64(place: int, vector: Vector) -> bytes:
    return _embedding(place, b'"%b"' % base64.b64encode(vector.astype("<f4").tobytes()))


def _embedding(place: int, vector: bytes) -> bytes:
    return b'{"object":"embedding","index":%d,"embedding":%b}' % (place, vector)
