"""What kopf is told to do."""

from tollway_operator.handlers import _settings


def test_kopf_does_not_end_the_process_because_its_watching_began_anew() -> None:
    assert _settings(namespaced=False).process.ultimate_exiting_timeout is None
