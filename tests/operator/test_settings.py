"""What the operator is told at start."""

import pytest

from tollway_api.environment import SettingsError, settings_from
from tollway_operator.settings import Settings

GIVEN = {"TOLLWAY_CACHE_REDIS_URL": "redis://127.0.0.1:6379/0"}


def test_namespaces_are_separated_by_commas() -> None:
    found = settings_from({**GIVEN, "TOLLWAY_WATCH_NAMESPACES": "team-a, team-b,"}, Settings)
    assert found.watch_namespaces == ("team-a", "team-b")


@pytest.mark.parametrize("given", ["*", "Team", "team-a team-b", "-a", "a" * 64])
def test_what_is_no_name_of_a_namespace_is_refused(given: str) -> None:
    with pytest.raises(
        SettingsError, match=r"TOLLWAY_WATCH_NAMESPACES is .* leave the setting out to watch all"
    ):
        settings_from({**GIVEN, "TOLLWAY_WATCH_NAMESPACES": given}, Settings)


@pytest.mark.parametrize("given", ["component in (dataplane)", "app", "app=a,", "=a", "app!=a"])
def test_a_selector_that_is_not_understood_is_refused_since_it_would_select_everybody(given: str) -> None:
    with pytest.raises(SettingsError, match=r"TOLLWAY_POD_SELECTOR is .* write it like"):
        settings_from({**GIVEN, "TOLLWAY_POD_SELECTOR": given}, Settings)
