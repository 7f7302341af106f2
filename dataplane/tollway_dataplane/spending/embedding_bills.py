"""Who pays a provider that wants money for embeddings. The prompt of a request is its tenant's: its price is held and
settled in the tenant's budget, as money alone, since limits of tokens and requests are about what a tenant asks of
models. What is remembered and embedded anew, for another embedding of its index, is the index's. Called by `embedders`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tollway_api.snapshot import Model, Tenant
from tollway_api.wire import account_of
from tollway_dataplane.core.facts import NO_USAGE, JsonValue, Usage
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import Counted, countable_inputs, estimate_text, most_tokens_of_inputs
from tollway_dataplane.errors import EmbedderFault, EmbeddingUnpaid, Refusal
from tollway_dataplane.ports import PaidEmbedder, Tokenizers, Vector
from tollway_dataplane.record import Record
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.holds import Need, Slice


@dataclass(frozen=True, slots=True)
class Payer:
    """A tenant, and the record of the request that it pays for."""

    tenant: Tenant
    record: Record


class EmbeddingBills:
    """`on_index` hears what an index has cost itself: its id, and nano-USD."""

    def __init__(
        self, budgets: Budgets, tokenizers: Tokenizers, on_index: Callable[[str, int], None]
    ) -> None:
        self._budgets = budgets
        self._tokenizers = tokenizers
        self._on_index = on_index

    async def of_tenant(self, embedder: PaidEmbedder, text: str, payer: Payer) -> Vector:
        """Raises EmbedderFault; EmbeddingUnpaid where the tenant's budget has no room for it, or cannot be asked."""
        model, record = embedder.model, payer.record
        worst = Usage(most_tokens_of_inputs([text]), 0, estimated=True)
        need = Need(worst, partial(slice_of_inputs, self._tokenizers, model, [text], worst))
        hold_id = f"{record.request_id}.embedding"
        waived = {account_of(payer.tenant.name, limit) for limit in payer.tenant.limits}
        try:
            hold = await self._budgets.hold(hold_id, payer.tenant, model, need, waived)
        except (Exceeded, Refusal) as exc:
            raise EmbeddingUnpaid(f"the budget of {payer.tenant.name} has no room for an embedding") from exc
        used = _estimated([text])
        try:
            (vector,), used = await self._billed(embedder, [text])
        except EmbedderFault as fault:
            used = used if fault.may_be_billed else NO_USAGE
            raise
        finally:
            nano = cost(used, model.price)
            record.embedding_nano += nano
            record.cost_nano += nano
            record.estimated_nano += nano if used.estimated else 0
            await asyncio.shield(self._budgets.settle(hold, used, answered=False))
        return vector

    async def of_index(self, embedder: PaidEmbedder, texts: Sequence[str], index_id: str) -> Sequence[Vector]:
        """Raises EmbedderFault."""
        used = _estimated(texts)
        try:
            vectors, used = await self._billed(embedder, texts)
        except EmbedderFault as fault:
            used = used if fault.may_be_billed else NO_USAGE
            raise
        finally:
            self._on_index(index_id, cost(used, embedder.model.price))
        return vectors

    @staticmethod
    async def _billed(embedder: PaidEmbedder, texts: Sequence[str]) -> tuple[Sequence[Vector], Usage]:
        vectors, usage = await embedder.billed(texts)
        return vectors, usage or _estimated(texts)


async def slice_of_inputs(tokenizers: Tokenizers, model: Model, inputs: JsonValue, worst: Usage) -> Slice:
    """The slice for what is to be embedded: all of it, by as many tokens as the model's tokenizer counts."""
    texts, bound = countable_inputs(inputs), worst.prompt_tokens
    if texts is None:
        return Slice(Counted(bound, bound))
    tokenizer = tokenizers.of(model)
    tokens = await tokenizer.count_prompt(texts.text)
    return Slice(texts.counted(tokens, tokenizer.safety, bound))


def _estimated(texts: Sequence[str]) -> Usage:
    """What the texts may have used, where the provider does not say."""
    return Usage(sum(map(estimate_text, texts)), 0, estimated=True)
