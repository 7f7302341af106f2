"""`--help` of the two processes says what each of their settings is for."""

from dataclasses import fields

import pytest

from tollway_api.environment import described
from tollway_dataplane.settings import Settings as DataPlaneSettings
from tollway_operator.settings import Settings as OperatorSettings


@pytest.mark.parametrize("settings", [OperatorSettings, DataPlaneSettings])
def test_every_setting_is_described(settings: type) -> None:
    entries = described(settings).split("  TOLLWAY_")[1:]
    assert [entry.partition("\n")[0] for entry in entries] == [each.name.upper() for each in fields(settings)]
    assert [entry for entry in entries if len(entry.partition("\n")[2].strip()) < 20] == []
