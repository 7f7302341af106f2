"""What an Event is, as the API server takes it."""

import pytest
from lightkube.resources.events_v1 import Event

from tollway_api.meta import Identity
from tollway_operator.kube import Kube, Moment


class Client:
    def __init__(self) -> None:
        self.created: list[Event] = []

    async def create(self, event: Event) -> Event:
        self.created.append(event)
        return event


async def emitted(name: str, note: str) -> Event:
    client = Client()
    at = "2026-01-01T00:00:00.000000Z"
    identity = Identity("RoutingPolicy", "default", name)
    moment = Moment(identity, "u", warning=True, reason="RejectedByPod", note=note)
    await Kube(client).emit(moment, at, "me")  # type: ignore[arg-type]  # a stand-in that has what is called
    (event,) = client.created
    return event


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("x" * 1_024, "x" * 1_024),
        ("x" * 1_025, "x" * 1_024),
        ("日" * 600, "日" * 341),
        ("x" * 1_022 + "😀", "x" * 1_022),
    ],
    ids=["fits", "one too many", "three bytes each", "would be cut apart"],
)
async def test_a_note_is_cut_to_the_bytes_that_there_is_room_for_and_between_characters(
    note: str, kept: str
) -> None:
    assert (await emitted("chat", note)).note == kept


async def test_a_long_name_gives_a_name_that_may_be_one() -> None:
    metadata = (await emitted("a" * 199 + "." + "b" * 40, "")).metadata
    assert metadata is not None
    assert metadata.generateName == "a" * 199 + "-"
