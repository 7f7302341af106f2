"""One attempt at one provider, within its hold: the call, what it may cost and how long it may take. Called by
`dispatch`, which decides whether there is another.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, aclosing, suppress
from dataclasses import dataclass, field

import orjson

from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Protocol
from tollway_dataplane.core.attempts import Attempt, Times
from tollway_dataplane.core.completions import (
    finish_reasons_in,
    finished_choices,
    is_whole,
    usage_of,
)
from tollway_dataplane.core.facts import OUTPUT_LIMITS, ChatRequest, JsonObject, JsonValue, Operation, Usage
from tollway_dataplane.core.gathering import Gathering
from tollway_dataplane.core.parameters import bound_name
from tollway_dataplane.core.shortcomings import begins, shortcoming, unbegun
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.fallback.jobs import Answered, Job, Opened
from tollway_dataplane.fallback.settling import AnswerUnfit, Settling, estimated_usage, used
from tollway_dataplane.ports import Chunk, Completion, Tokenizers, Upstream, UpstreamCall
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.holds import Hold
from tollway_dataplane.spending.metering import Metering


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

    async def answer(self, job: Job, attempt: Attempt, hold: Hold, times: Times) -> Answered | Opened:
        """Raises UpstreamFault, also for an answer with a shortcoming that the policy falls back on while there is
        somebody else to ask: `times.is_last`.
        """
        request, record = job.request, job.record
        bound = hold.most // request.choices
        wanted = request.output_limit or hold.worst.completion_tokens // request.choices
        record.max_tokens = bound if bound < wanted else None
        fields = _fields(request, attempt, bound)
        if request.stream:
            return await self._streamed(job, attempt, hold, fields, times)
        return await self._whole(job, attempt, hold, fields, times)

    async def _whole(
        self, job: Job, attempt: Attempt, hold: Hold, fields: JsonObject, times: Times
    ) -> Answered:
        model, record, began = attempt.model, job.record, time.monotonic()
        with record.trace.call(model, Operation.CHAT, fields, streams=False) as span:
            call = UpstreamCall(model, Operation.CHAT, fields, times.whole, idle_s=times.idle, span=span)
            completion = await (
                self._gathered(call, attempt, hold)
                if hold.grows
                else self._upstreams[model.protocol].complete(call)
            )
            usage = used(completion.usage, hold, attempt, lambda: completion.answer_text)
            record.left_out = tuple(sorted(call.left_out))
            record.mark("upstream")
            record.writing_s = time.monotonic() - began
            if hold.cut:
                usage, record.ended = hold.seen, "cut"
            is_whole, parsed = completion.complete, completion.parsed
            span.answered(usage, parsed, "stop" if is_whole else min(finish_reasons_in(parsed), default=None))
            found = None if hold.cut else shortcoming(parsed, job.request.parameters, is_whole=is_whole)
            if (found := _wanting(job, found, times.is_last)) is not None:
                raise AnswerUnfit(found, usage)
        outcome = "cut" if hold.cut else "ok"
        await self._settling.settle(job, hold, attempt, usage, outcome)
        return Answered(attempt, completion)

    async def _streamed(
        self, job: Job, attempt: Attempt, hold: Hold, fields: JsonObject, times: Times
    ) -> Opened:
        model, record, began = attempt.model, job.record, time.monotonic()
        with ExitStack() as failing:
            span = failing.enter_context(record.trace.call(model, Operation.CHAT, fields, streams=True))
            call = UpstreamCall(
                model, Operation.CHAT, fields, times.first_token, idle_s=times.idle, span=span
            )
            opened = await self._opened(job, attempt, hold, call, is_last=times.is_last)
            record.begun_s = opened.begun_at - began
            span.begun(record.begun_s)
            failing.pop_all()  # the span ends with the stream
            return opened
        raise AssertionError("an exit stack swallows no exception")

    async def _opened(
        self, job: Job, attempt: Attempt, hold: Hold, call: UpstreamCall, *, is_last: bool
    ) -> Opened:
        """The stream once it says something. What comes before is held back, since nobody else can be asked when the
        caller has had a byte.
        """
        async with AsyncExitStack() as stack:
            try:
                # A provider that sends signs of life but no answer has no more time than one that sends nothing.
                async with asyncio.timeout(call.timeout_s):
                    chunks = await stack.enter_async_context(self._stream(call, attempt, hold))
                    beginning = await _beginning(chunks, call.choices)
                    if (reasons := beginning.unsaid) is not None:
                        found = _wanting(job, unbegun(reasons), is_last)
                        if found is not None:
                            usage = await beginning.usage(chunks)
                            raise AnswerUnfit(found, used(usage, hold, attempt))
            except TimeoutError as exc:
                message = "the stream did not begin in time"
                raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
            if not beginning.chunks:
                raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
            job.record.left_out = tuple(sorted(call.left_out))
            job.record.mark("first_chunk")
            first, *others = beginning.chunks
            # Mostly there are none, and what each chunk goes through takes its time.
            rest = await stack.enter_async_context(aclosing(_then(others, chunks))) if others else chunks
            begun_at = time.monotonic()
            return Opened(attempt, hold, begun_at, call.span, first, rest, stack.pop_all())
        raise AssertionError("an exit stack swallows no exception")

    def _stream(
        self, call: UpstreamCall, attempt: Attempt, hold: Hold
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """The model's stream, as far as the hold can be made to cover it."""
        hold.prompt = hold.prompt or estimated_usage(attempt, "").prompt_tokens
        stream = self._upstreams[call.model.protocol].stream(call)
        tokenizer = self._tokenizers.of(call.model)
        return Metering(self._budgets, hold, tokenizer, call.choices, call.hang_up).within(stream)

    async def _gathered(self, call: UpstreamCall, attempt: Attempt, hold: Hold) -> Completion:
        """The whole answer, by a stream, which can be ended where the hold does."""
        answer = Gathering()
        try:
            async with asyncio.timeout(call.timeout_s), self._stream(call, attempt, hold) as chunks:
                async for chunk in chunks:
                    answer.add(chunk.event)
        except TimeoutError as exc:
            message = "no answer in time"
            raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
        completion = answer.completion()
        if not completion["choices"]:
            raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
        whole = is_whole(completion) and not hold.cut
        return Completion(orjson.dumps(completion), usage_of(completion), whole, completion)


@dataclass(slots=True)
class _Beginning:
    """A stream up to its first chunk that says something."""

    chunks: list[Chunk] = field(default_factory=list)
    says_something: bool = False
    finish_reasons: set[str] = field(default_factory=set)

    @property
    def unsaid(self) -> set[str] | None:
        """The reasons with which it ended where it has said nothing; None where it has, or there was no stream."""
        return None if self.says_something or not self.chunks else self.finish_reasons

    async def usage(self, rest: AsyncIterator[Chunk]) -> Usage | None:
        """What the provider says at the end, which is near."""
        events = [chunk.event for chunk in self.chunks]
        with suppress(UpstreamFault):
            events += [chunk.event async for chunk in rest]
        return next(filter(None, map(usage_of, reversed(events))), None)


async def _beginning(chunks: AsyncIterator[Chunk], choices: int) -> _Beginning:
    found, finished = _Beginning(), set[str]()
    async for chunk in chunks:
        found.chunks.append(chunk)
        found.finish_reasons |= finish_reasons_in(chunk.event)
        finished |= finished_choices(chunk.event)
        found.says_something = begins(chunk.event)
        if found.says_something or len(finished) >= choices:
            break
    return found


async def _then(first: Sequence[Chunk], rest: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk, None]:
    for chunk in first:
        yield chunk
    async for chunk in rest:
        yield chunk


def _wanting(job: Job, found: FallbackTrigger | None, is_last: bool) -> FallbackTrigger | None:
    """A shortcoming for which somebody else is to be asked. Where there is nobody, the answer is what there is."""
    return found if not is_last and found in job.policy.fallback.triggers else None


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
