"""What is said of what is in the way, and when."""

from tollway_operator.lasting_fault import LASTS_S, LastingFault


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_may_pass_is_said_once_it_has_lasted_in_the_words_of_now() -> None:
    clock = Clock()
    lasting = LastingFault(clock)
    assert lasting.said == ""
    lasting.note("500")
    clock.now += LASTS_S - 1
    lasting.note("a timeout")
    assert lasting.said == ""
    clock.now += 1
    assert lasting.said == "a timeout"
    lasting.note("")
    assert lasting.said == ""
    lasting.note("500")
    assert lasting.said == "", "it has only begun"


def test_what_does_not_pass_is_said_at_once_and_something_is_until_nothing_is_in_the_way() -> None:
    lasting = LastingFault(Clock())
    lasting.note("403", passes=False)
    assert lasting.said == "403"
    lasting.note("500")
    assert lasting.said == "500"
    lasting.note("")
    lasting.note("500")
    assert lasting.said == ""
