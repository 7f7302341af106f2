"""The story of an embeddings request: the same key, policies and budgets as a chat, but one model and one attempt,
because vectors of different models must never be mixed.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from tollway_api.snapshot import Model, Policy, Protocol, Tenant
from tollway_dataplane.core.decision import RouteReason, Source
from tollway_dataplane.core.facts import NO_USAGE, EmbeddingsRequest, Operation, Usage
from tollway_dataplane.core.naming import named_model
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import most_tokens_of_inputs
from tollway_dataplane.errors import Refusal, RefusalCode, UpstreamFault
from tollway_dataplane.fallback.health import Health, Permit
from tollway_dataplane.fallback.refusing import provider_refusal, refusal_of
from tollway_dataplane.live import Live
from tollway_dataplane.ports import Tokenizers, Upstream, UpstreamCall
from tollway_dataplane.record import AttemptNote, Record
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.embedding_bills import slice_of_inputs
from tollway_dataplane.spending.exceeding import Exceeded, refusal
from tollway_dataplane.spending.holds import Need


class EmbeddingService:
    def __init__(
        self,
        live: Live,
        upstreams: Mapping[Protocol, Upstream],
        budgets: Budgets,
        tokenizers: Tokenizers,
        health: Health,
    ) -> None:
        self._tokenizers = tokenizers
        self._live = live
        self._upstreams = upstreams
        self._budgets = budgets
        self._health = health

    async def embed(self, request: EmbeddingsRequest, caller: str | None, record: Record) -> bytes:
        """The provider's list of embeddings, as JSON. Raises Refusal."""
        directory = self._live.current()
        record.revision = directory.revision
        tenant, _ = directory.authenticate(caller, time.time())
        record.tenant = tenant.name
        policy = directory.match(tenant, request.model, request.headers)
        record.policy = policy.id
        name = named_model(request.model, policy)
        if name is None:
            message = "name the embedding model; vectors of different models cannot be compared"
            raise Refusal(400, RefusalCode.INVALID_REQUEST, message, "model")
        model = policy.models[name]
        is_alias = request.model not in policy.models
        record.model, record.route_reason = name, RouteReason.ALIAS if is_alias else RouteReason.EXPLICIT

        permit = self._admitted(policy, model, record)
        try:
            return await self._asked(request, tenant, permit, record)
        finally:
            permit.release()

    def _admitted(self, policy: Policy, model: Model, record: Record) -> Permit:
        """Raises Refusal 503 where the model is not to be asked now: nobody else can be."""
        health = self._health
        permit = health.admit(policy, model) or health.admit(policy, model, by_force=True)
        if permit is None:
            record.attempts.append(AttemptNote(model.name, health.state(policy, model), made=False))
            raise refusal_of((), record.attempts, health.ready_in(policy, model))
        return permit

    async def _asked(
        self, request: EmbeddingsRequest, tenant: Tenant, permit: Permit, record: Record
    ) -> bytes:
        model = permit.model
        worst = Usage(most_tokens_of_inputs(request.inputs), 0, estimated=True)
        need = Need(worst, partial(slice_of_inputs, self._tokenizers, model, request.inputs, worst))
        try:
            with record.trace.step("hold"):
                hold = await self._budgets.hold(f"{request.request_id}.0", tenant, model, need)
        except Exceeded as exceeded:
            record.limit = exceeded.denied.limit.title
            raise refusal(tenant, exceeded.denied) from exceeded
        fields = {**request.parameters, "input": request.inputs}
        used, outcome, kind = worst, "Cancelled", ""
        try:
            with record.trace.call(model, Operation.EMBEDDINGS, fields, streams=False) as span:
                within_s = model.timeout_ms / 1_000
                call = UpstreamCall(model, Operation.EMBEDDINGS, fields, within_s, span=span)
                completion = await self._upstreams[model.protocol].complete(call)
                used, outcome = completion.usage or worst, "ok"
                span.answered(used, completion.parsed, None)
            permit.answered()
            record.source = Source.LIVE
        except UpstreamFault as fault:
            permit.failed(fault)
            used, outcome = (worst if fault.may_have_run else NO_USAGE), fault.trigger or "Refused"
            kind = fault.kind
            raise provider_refusal(fault, model.secrets.values()) from fault
        finally:
            record.attempts.append(AttemptNote(model.name, outcome, kind))
            record.usage, record.cost_nano = used, cost(used, model.price)
            record.tight, record.held_nano = hold.tight, hold.held_nano
            record.estimated_nano = record.cost_nano if used.estimated else 0
            with record.trace.step("settle"):
                await asyncio.shield(self._budgets.settle(hold, used, answered=outcome == "ok"))
            record.rate_limits = partial(self._budgets.rate_limits, tenant)
        return completion.body
