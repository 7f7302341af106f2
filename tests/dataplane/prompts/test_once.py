"""What is found of a prompt, or of two, is found once."""

from tollway_dataplane.prompts.once import once, once_both_ways, once_of_two
from tollway_dataplane.prompts.reading import Reading, read


def test_of_one_prompt_it_is_found_once() -> None:
    asked: list[str] = []

    @once
    def length(reading: Reading) -> int:
        asked.append(reading.text)
        return len(reading.text)

    one, other = read("What is a fjord?"), read("What is a delta?")
    assert [length(one), length(other), length(one)] == [16, 16, 16]
    assert asked == ["What is a fjord?", "What is a delta?"]


def test_between_two_prompts_it_is_found_once_each_way_until_another_comes() -> None:
    asked: list[str] = []

    @once_of_two
    def joined(one: Reading, other: Reading) -> str:
        asked.append(f"{one.text} {other.text}")
        return asked[-1]

    a, b, c = read("a"), read("b"), read("c")
    assert [joined(a, b), joined(a, b), joined(b, a), joined(a, c), joined(a, c)] == [
        "a b",
        "a b",
        "b a",
        "a c",
        "a c",
    ]
    assert asked == ["a b", "b a", "a c"]
    assert joined(a, b) == "a b"


def test_one_that_is_gone_is_not_taken_for_the_next_in_its_place() -> None:
    @once_of_two
    def other_text(one: Reading, other: Reading) -> str:
        return other.text

    caller = read("What is a fjord?")
    for number in range(50):
        assert other_text(caller, read(f"candidate {number}")) == f"candidate {number}"


def test_what_is_known_both_ways_round_is_found_once_for_both() -> None:
    asked: list[str] = []

    @once_both_ways
    def longer_by(one: Reading, other: Reading) -> tuple[int, int]:
        asked.append(f"{one.text} {other.text}")
        difference = len(one.text) - len(other.text)
        return difference, -difference

    short, long, third = read("a"), read("a fjord"), read("a delta or so")
    assert [longer_by(short, long), longer_by(long, short), longer_by(short, long)] == [-6, 6, -6]
    assert asked == ["a a fjord"]
    assert [longer_by(third, long), longer_by(long, third), longer_by(short, long)] == [6, -6, -6]
