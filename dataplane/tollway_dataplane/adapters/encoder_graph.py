"""Of the encoder's table of words, only the rows that a prompt looks up become floating point. As the model comes, all
of it does, before the look-up: the runtime does that once, when it loads, and keeps 47 MB for 12. These 12 stay in the
model's file, which the runtime maps: what is looked up of them takes memory, once for all processes. What is computed
is the same to the bit. Called by `local_embedder`.

A model is a message of protocol buffers (onnx.proto), of which no more is read here than where each field ends.
"""

from collections.abc import Iterator, Sequence
from typing import Final

# Fields of onnx.proto: of ModelProto, GraphProto, NodeProto and TensorProto.
_GRAPH: Final = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5
_NAME, _CONTENT, _ELSEWHERE = 8, 9, 13
_IS_ELSEWHERE: Final = b"\x70\x01"  # its data_location, TensorProto.EXTERNAL
_TO_FLOAT: Final = (
    b"\n\x02to\x18\x01\xa0\x01\x02"  # an AttributeProto: its name, TensorProto.FLOAT, that it is an INT
)
# How a field is written.
_VARINT: Final = 0
_FIXED: Final = {1: 8, 5: 4}  # bytes
_DELIMITED: Final = 2  # after its length

_TABLE: Final = "inner.embeddings.word_embeddings.weight"  # made of `…_q`, int8, and of `…_scale`, one a row


def looking_up_first(model: bytes, file: str) -> bytes:
    """The same model with the look-up before the conversion, and the table left in the file of this name. Raises
    ValueError where the table is not made of what it is made of in the model that we know.
    """
    around, (graph,) = _apart(memoryview(model), _GRAPH)
    rest, nodes, tensors = _apart(graph, _NODE, _INITIALIZER)
    kept = [node for node in nodes if not any(_is_of_table(name) for name in _contents(node, _INPUT))]
    if len(nodes) - len(kept) != 3:
        raise ValueError(f"{_TABLE} is not converted, scaled and looked up once each")
    found = [
        _node("Gather", [f"{_TABLE}_q", "input_ids"], "rows_q"),
        _node("Gather", [f"{_TABLE}_scale", "input_ids"], "rows_scale"),
        _node("Cast", ["rows_q"], "rows_f", _TO_FLOAT),
        _node("Mul", ["rows_f", "rows_scale"], "embedding"),
    ]
    parts = [*rest, *(piece for node in (*found, *kept) for piece in _field(_NODE, node))]
    for tensor in tensors:
        is_table = [f"{_TABLE}_q".encode()] == list(_contents(tensor, _NAME))
        parts += _field(_INITIALIZER, _left_in(file, model, tensor) if is_table else tensor)
    return b"".join([*around, _head(_GRAPH, sum(map(len, parts))), *parts])


def _left_in(file: str, model: bytes, tensor: memoryview) -> bytes:
    """Says where its content lies instead of bearing it."""
    rest, (content,) = _apart(tensor, _CONTENT)
    place = {"location": file, "offset": str(model.index(content)), "length": str(len(content))}
    entries = (
        b"".join([*_field(1, key.encode()), *_field(2, value.encode())]) for key, value in place.items()
    )
    return b"".join(
        [*rest, *(piece for entry in entries for piece in _field(_ELSEWHERE, entry)), _IS_ELSEWHERE]
    )


def _is_of_table(name: bytes) -> bool:
    return name.startswith(_TABLE.encode())


def _contents(message: memoryview, wanted: int) -> Iterator[bytes]:
    return (bytes(content) for number, _, content in _fields(message) if number == wanted)


def _apart(message: memoryview, *wanted: int) -> list[list[memoryview]]:
    """Every other field as it is written, and the contents of each that is wanted."""
    fields = list(_fields(message))
    others = [whole for number, whole, _ in fields if number not in wanted]
    return [others, *([content for number, _, content in fields if number == each] for each in wanted)]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """The number of each field, how it is written, and its content."""
    place = 0
    while place < len(message):
        key, begin = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            _, end = _varint(message, begin)
        elif kind in _FIXED:
            end = begin + _FIXED[kind]
        else:
            length, begin = _varint(message, begin)
            end = begin + length
        yield key >> 3, message[place:end], message[begin:end]
        place = end


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    found = shift = 0
    while True:
        byte = message[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, place
        shift += 7


def _head(number: int, length: int) -> bytes:
    """Of a field that has a length."""
    written = bytearray([number << 3 | _DELIMITED])
    while length >= 0x80:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*written, length])


def _field(number: int, content: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
    return _head(number, len(content)), content


def _node(operator: str, inputs: Sequence[str], output: str, attribute: bytes = b"") -> memoryview:
    fields = [
        *((_INPUT, each.encode()) for each in inputs),
        (_OUTPUT, output.encode()),
        (_OPERATOR, operator.encode()),
        *([(_ATTRIBUTE, attribute)] if attribute else []),
    ]
    return memoryview(b"".join(piece for number, content in fields for piece in _field(number, content)))
