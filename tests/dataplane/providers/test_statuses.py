"""What a status means, and an error in a reply that calls itself a success, is the same whoever sends it, and whichever
way it comes to us.
"""

from typing import Final

import pytest

from tests.dataplane.providers.wire import Failure, Server
from tests.dataplane.providers.wires import streamed
from tollway_api.routing_policy import FallbackTrigger
from tollway_dataplane.core.completions import written_in_chunk
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Upstream

# LiteLLM and what it imports warn about themselves, and its models of what they were given.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]
STATUSES: Final = {
    **dict.fromkeys((400, 405, 418, 422)),
    **dict.fromkeys(
        (401, 402, 403, 404, 409, 500, 501, 502, 503, 504, 520, 529), FallbackTrigger.SERVER_ERROR
    ),
    408: FallbackTrigger.TIMEOUT,
    413: FallbackTrigger.CONTEXT_OVERFLOW,
    429: FallbackTrigger.RATE_LIMIT,
}
BODIES: Final[tuple[object, ...]] = (
    {"error": {"message": "No way.", "code": {"a": 1}, "type": 7}},
    {"error": {"message": ["No way."]}},
    {"message": 7, "detail": [1]},
    {"error": None},
    [1],
    "<html>No</html>",
)
# In what calls itself a success.
ERRORS: Final[tuple[object, ...]] = (
    {"error": {"message": "overloaded", "type": "server_error", "code": "x"}},
    {"error": {"message": "overloaded", "type": "server_error", "code": 500}},
    {"error": {"message": "overloaded", "code": 400}},
    {"error": {"message": {"a": 1}, "code": [7]}},
    {"error": "overloaded"},
    {"error": 7},
    {"error": ["overloaded"]},
    {"object": "error", "message": "overloaded", "code": 40003},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
)
NO_ANSWERS: Final[tuple[object, ...]] = (
    {},
    [],
    7,
    "x",
    None,
    {"message": "Too many"},
    {"choices": []},
    {"choices": None},
    {"choices": 7},
    {"choices": [{}]},
    {"choices": [None]},
    {"choices": [{"message": {"content": {"a": 1}}}]},
    {"choices": [{"message": {"tool_calls": ["odd"]}}]},
    {"content": 7},
    {"content": [7]},
    {"candidates": 7},
    {"candidates": [7]},
    {"output": 7},
    {"output": {"message": 7}},
    {"usage": 7},
)


async def fault_of(upstream: Upstream, server: Server, failure: Failure, *, stream: bool) -> UpstreamFault:
    server.failure = failure
    with pytest.raises(UpstreamFault) as caught:
        await (streamed(upstream, server.call()) if stream else upstream.complete(server.call()))
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_status_means_the_same_whoever_sends_it(
    upstream: Upstream, server: Server, *, stream: bool
) -> None:
    wrong = []
    for place, (status, trigger) in enumerate(STATUSES.items()):
        body = BODIES[place % len(BODIES)]
        fault = await fault_of(upstream, server, Failure(status, body), stream=stream)
        if (fault.trigger, fault.status, fault.may_have_run) != (trigger, status, False):
            wrong.append((status, body, fault))
    assert wrong == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_success_with_an_error_inside_is_no_fault_of_the_request(
    upstream: Upstream, server: Server, *, stream: bool
) -> None:
    # What comes in place of a stream is read as one by some of LiteLLM's, and ends without a word.
    known = {FallbackTrigger.SERVER_ERROR, *({FallbackTrigger.CONNECTION} if stream else ())}
    wrong = []
    for body in ERRORS:
        fault = await fault_of(upstream, server, Failure(200, body), stream=stream)
        if fault.trigger not in known or (fault.status, fault.may_have_run) != (200, True):
            wrong.append((body, fault))
    assert wrong == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_is_no_answer_is_a_fault_or_empty(
    upstream: Upstream, server: Server, *, stream: bool
) -> None:
    """And never anything else that a caller would have for an answer, or for an error of ours."""
    wrong = []
    for body in NO_ANSWERS:
        server.failure = Failure(200, body)
        try:
            if stream:
                said = [written_in_chunk(chunk.event) for chunk in await streamed(upstream, server.call())]
            else:
                said = [(await upstream.complete(server.call())).answer_text]
        except UpstreamFault as fault:
            is_wrong = fault.trigger is None
        else:
            is_wrong = any(said)
        if is_wrong:
            wrong.append(body)
    assert wrong == []
