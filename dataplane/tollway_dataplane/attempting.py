"""One attempt at one provider, within its hold: the call, what it may cost and how long it may take. Called by
`dispatch`, which decides whether there is another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import orjson

from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Protocol
from tollway_dataplane.budgets import Budgets
from tollway_dataplane.core.attempts import Attempt, bound_name
from tollway_dataplane.core.completions import is_whole, usage_of, written_in
from tollway_dataplane.core.facts import OUTPUT_LIMITS, ChatRequest, JsonObject, JsonValue
from tollway_dataplane.core.gathering import Gathering
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.holds import Hold
from tollway_dataplane.jobs import Answered, Job, Opened
from tollway_dataplane.metering import Metering
from tollway_dataplane.ports import Chunk, Completion, Operation, Tokenizers, Upstream, UpstreamCall
from tollway_dataplane.settling import Settling, unreported_usage


class Attempting:
    def __init__(
        self,
        upstreams: Mapping[Protocol, Upstream],
        budgets: Budgets,
        tokenizers: Tokenizers,
        settling: Settling,
    ) -> None:
        self._upstreams = upstreams
        self._budgets = budgets
        self._tokenizers = tokenizers
        self._settling = settling

    async def answer(self, job: Job, attempt: Attempt, hold: Hold, seconds_left: float) -> Answered | Opened:
        model = attempt.model
        upstream = self._upstreams[model.protocol]
        timeout_s = min(model.timeout_ms / 1_000, seconds_left)
        bound = hold.most // job.request.choices
        wanted = job.request.output_limit or hold.worst.completion_tokens // job.request.choices
        job.record.max_tokens = bound if bound < wanted else None
        fields = _fields(job.request, attempt, bound)
        call = UpstreamCall(model, Operation.CHAT, fields, timeout_s, idle_s=model.timeout_ms / 1_000)
        if not job.request.stream:
            completion = await (self._gathered(call, hold) if hold.grows else upstream.complete(call))
            usage = completion.usage or unreported_usage(hold, attempt, completion.answer_text)
            job.record.mark("upstream")
            if hold.cut:
                job.record.ended = "cut"
                settling = self._settling.settle(job, hold, attempt, hold.seen, "cut")
            else:
                settling = self._settling.settle(job, hold, attempt, usage)
            await asyncio.shield(settling)
            return Answered(attempt, completion)
        async with AsyncExitStack() as stack:
            try:
                # A provider that sends signs of life but no answer has no more time than one that sends nothing.
                async with asyncio.timeout(timeout_s):
                    chunks = await stack.enter_async_context(self._stream(call, hold))
                    first = await anext(chunks, None)
            except TimeoutError as exc:
                message = "no first chunk in time"
                raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
            if first is None:
                raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
            job.record.mark("first_chunk")
            return Opened(attempt, hold, first, chunks, stack.pop_all())
        raise AssertionError("an exit stack swallows no exception")

    def _stream(self, call: UpstreamCall, hold: Hold) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """As far as the hold can be made to cover it."""
        stream = self._upstreams[call.model.protocol].stream(call)
        if not hold.grows:
            return stream
        tokenizer = self._tokenizers.of(call.model)
        return Metering(self._budgets, hold, tokenizer, call.choices, call.hang_up).within(stream)

    async def _gathered(self, call: UpstreamCall, hold: Hold) -> Completion:
        """The whole answer, by a stream, which can be ended where the hold does."""
        answer = Gathering()
        try:
            async with asyncio.timeout(call.timeout_s), self._stream(call, hold) as chunks:
                async for chunk in chunks:
                    answer.add(chunk.event)
        except TimeoutError as exc:
            message = "no answer in time"
            raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
        completion = answer.completion()
        if not completion["choices"]:
            raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
        whole = is_whole(completion) and not hold.cut
        return Completion(orjson.dumps(completion), usage_of(completion), whole, written_in(completion))


def _fields(request: ChatRequest, attempt: Attempt, bound: int) -> JsonObject:
    """The body to send: everything the caller sent, and the bound on each answer that the hold covers."""
    fields: dict[str, JsonValue] = {**request.parameters, "messages": list(attempt.messages)}
    if request.output_limit is None:
        fields[bound_name(attempt.model.upstream_id)] = bound
    else:
        for name in OUTPUT_LIMITS:
            if fields.get(name) is not None:
                fields[name] = bound
    return fields
