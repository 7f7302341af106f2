"""Writes api/tollway_api/model_catalog.json from the pinned LiteLLM's price table; `--check` only compares.

Reads the table as a file of the installed distribution: importing LiteLLM takes seconds and is not needed.
"""

import json
import re
import sys
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path

from tools.generated import ROOT, write_or_check

TARGET = ROOT / "api" / "tollway_api" / "model_catalog.json"
TABLE = "litellm/model_prices_and_context_window_backup.json"
# LiteLLM's modes that answer a chat, and the one that embeds; images, audio and moderation are not routed.
MODES = {"chat": "chat", "completion": "chat", "responses": "chat", "embedding": "embedding"}
# Providers whose models are the user's own, so that no row of the table need name them.
SELF_HOSTED = ("hosted_vllm", "lm_studio", "ollama", "ollama_chat", "openai_like")


def pico_usd(value: object) -> int | None:
    """A price per token in pico-USD. The table writes 0 for many prices nobody knows, so 0 is unknown."""
    if not isinstance(value, int | float) or value <= 0:
        return None
    return int((Decimal(str(value)) * 10**12).to_integral_value())


# What a price is called in the table, in the order of our own, and what its name may end with.
PRICES = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "output_cost_per_reasoning_token",
)
TIERS = {"": "", "flex": "_flex", "priority": "_priority", "batch": "_batches"}
LONG_PROMPT = re.compile(r"input_cost_per_token_above_([0-9]+)k_tokens")
THOUSAND = 1_000


def numbers(facts: dict[str, object], tier: str, above: str) -> list[int | None]:
    """The prices of a tier and of prompts above a length. Where the table has none for both, the dearest of those that
    it has for one of them, or the usual one.
    """
    found = []
    for name in PRICES:
        exact = pico_usd(facts.get(f"{name}{above}{tier}"))
        others = [pico_usd(facts.get(f"{name}{suffix}")) for suffix in {above, tier} - {""}]
        known = [each for each in others if each is not None]
        found.append(exact or max(known, default=None) or pico_usd(facts.get(name)))
    return found


def prices(facts: dict[str, object], *, has_output: bool) -> list[list[object]] | None:
    """The usual ones, then those that hold instead: tier, tokens that the prompt has more than, prices."""
    lengths = {0: ""}
    lengths |= {
        int(found[1]) * THOUSAND: f"_above_{found[1]}k_tokens"
        for found in map(LONG_PROMPT.fullmatch, facts)
        if found is not None
    }
    rows = {
        (tier, above): numbers(facts, TIERS[tier], lengths[above])
        for tier in TIERS
        for above in sorted(lengths)
    }
    usual = rows["", 0]
    if not has_output:
        usual[1] = 0  # an embedding has no completion tokens to pay for
    if usual[0] is None or usual[1] is None:
        return None
    # One that says what holds without it anyway is left out: the tier's own for shorter prompts, or the usual one.
    others = [
        [tier, above, *trimmed(row)]
        for (tier, above), row in rows.items()
        if has_output and (tier or above) and row != (rows[tier, 0] if above else usual)
    ]
    return [trimmed(usual), *others]


def trimmed(row: list[int | None]) -> list[object]:
    """Without what is unknown at its end."""
    kept: list[object] = list(row)
    while kept[-1] is None:
        kept.pop()
    return kept


def tokens(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def row(facts: dict[str, object]) -> list[object]:
    mode = MODES[str(facts["mode"])]
    return [
        facts["litellm_provider"],
        mode,
        prices(facts, has_output=mode != "embedding"),
        tokens(facts.get("max_input_tokens")) or tokens(facts.get("max_tokens")),
        tokens(facts.get("max_output_tokens")) or tokens(facts.get("max_tokens")),
    ]


def generate() -> str:
    litellm = distribution("litellm")
    table = json.loads(Path(str(litellm.locate_file(TABLE))).read_text(encoding="utf-8"))
    models = {
        name: row(facts)
        for name, facts in sorted(table.items())
        if facts.get("mode") in MODES and name != "sample_spec"
    }
    providers = sorted({str(values[0]) for values in models.values()} | set(SELF_HOSTED))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in models.items())
    source = json.dumps(f"litellm {litellm.version}")
    return f'{{"source": {source},\n"providers": {json.dumps(providers)},\n"models": {{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, {TARGET: generate()}, "the pinned LiteLLM says", "generate"))
