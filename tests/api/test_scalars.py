"""Durations, money and names."""

import pytest

from tollway_api.catalog import bundled
from tollway_api.inventory import parse_inventory
from tollway_api.meta import milliseconds, scaled
from tollway_api.wire import digest_in_secret, key_digest


@pytest.mark.parametrize(
    ("text", "expected"), [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("24h", 86_400_000)]
)
def test_durations_are_read_as_go_does(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0.1", 100_000_000), ("12.50", 12_500_000_000), ("0.000000001", 1)]
)
def test_money_is_never_a_float(text: str, expected: int) -> None:
    assert scaled(text, 10**9) == expected


@pytest.mark.parametrize("ttl", ["", "5", "1d", "-1s", "1.5h", "1h 30m", "100000h", "999999h999999h999999h"])
def test_what_is_no_duration_is_refused_with_an_example(ttl: str) -> None:
    raw = {
        "apiVersion": "tollway.dev/v1alpha1",
        "kind": "SemanticCacheIndex",
        "metadata": {"name": "x"},
        "spec": {"ttl": ttl},
    }
    _, (problem,) = parse_inventory([raw])
    assert problem.field == "spec.ttl"
    assert '"24h"' in problem.message


def test_a_secret_may_hold_the_digest_instead_of_the_key() -> None:
    assert digest_in_secret(f"sha256:{key_digest('k')}") == digest_in_secret(" k\n") == key_digest("k")


def test_a_secret_that_is_not_base64_is_named_without_its_value() -> None:
    raw = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"api-key": "not-base64!"},
    }
    inventory, (problem,) = parse_inventory([raw])
    assert problem.field == "data.api-key"
    assert "not-base64!" not in problem.message
    assert inventory.secrets == {}


def test_the_catalogue_knows_models_by_id_with_or_without_provider() -> None:
    catalog = bundled()
    assert catalog.find("gpt-4o-mini") == catalog.find("openai/gpt-4o-mini")
    assert catalog.find("anthropic/gpt-4o-mini") is None
    assert catalog.provider_of("openai/my-own") == "openai"
    assert catalog.provider_of("my-own") is None
    assert catalog.similar("gpt-4o-mni") == "gpt-4o-mini"
