"""Writes api/tollway_api/model_catalog.json from the pinned LiteLLM's price table; `--check` only compares.

The table is read as a file of the installed distribution. LiteLLM itself is asked only which parameters it passes on to
a model, since it leaves out all others without a word, and which names are arguments of its own.
"""

import importlib
import json
import os
import re
import sys
from collections.abc import Collection
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tollway_api.routing_policy import Capability
from tollway_dataplane.adapters.litellm_arguments import own_arguments
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


# What the table calls what a model can. It also has what LiteLLM or the provider can make of it; that is not meant.
CAPABILITIES: dict[Capability, tuple[str, ...]] = {
    Capability.TOOLS: ("supports_function_calling",),
    Capability.VISION: ("supports_vision", "supports_image_input"),
    Capability.AUDIO: ("supports_audio_input", "supports_audio_output"),
    Capability.JSON_SCHEMA: ("supports_response_schema",),
}
# The parameters that ask for it.
PARAMETERS: dict[Capability, str] = {
    Capability.TOOLS: "tools",
    Capability.JSON_MODE: "response_format",
    Capability.JSON_SCHEMA: "response_format",
    Capability.LOGPROBS: "logprobs",
}


def incapable(facts: dict[str, object], parameters: Collection[str] | None) -> list[object]:
    """What a model lacks, and what is not said of it though other things are. The table's yes stands before all; then
    its no, and parameters that do not reach the model.
    """
    said = {
        capability: [facts[name] for name in names if name in facts]
        for capability, names in CAPABILITIES.items()
    }
    said[Capability.VISION] += [True] if "image" in str(facts.get("supported_modalities")) else []
    is_described = any(name.startswith("supports_") for name in facts)
    lacks, unproven = [], []
    for capability in sorted(Capability):
        words = said.get(capability, [])
        if True in words:
            continue
        if words or (parameters is not None and PARAMETERS.get(capability, "") not in {"", *parameters}):
            lacks.append(capability)
        elif capability in CAPABILITIES and is_described:
            unproven.append(capability)
    return [" ".join(each) for each in (lacks, unproven)]


def row(facts: dict[str, object], parameters: Collection[str] | None) -> list[object]:
    mode = MODES[str(facts["mode"])]
    found = incapable(facts, parameters) if mode == "chat" else []
    return [
        facts["litellm_provider"],
        mode,
        prices(facts, has_output=mode != "embedding"),
        tokens(facts.get("max_input_tokens")) or tokens(facts.get("max_tokens")),
        tokens(facts.get("max_output_tokens")) or tokens(facts.get("max_tokens")),
        *(found if any(found) else []),
    ]


def passed_on(litellm: Any, name: str, facts: dict[str, object]) -> Collection[str] | None:
    """Names of parameters; None of models that LiteLLM knows nothing of, or that are whatever their owner runs."""
    provider = facts["litellm_provider"]
    if provider in SELF_HOSTED:
        return None
    found: Collection[str] | None = litellm.get_supported_openai_params(name, provider)
    return found


def generate() -> str:
    litellm = distribution("litellm")
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the network
    module = importlib.import_module("litellm")
    table = json.loads(Path(str(litellm.locate_file(TABLE))).read_text(encoding="utf-8"))
    models = {
        name: row(facts, passed_on(module, name, facts))
        for name, facts in sorted(table.items())
        if facts.get("mode") in MODES and name != "sample_spec"
    }
    providers = sorted({str(values[0]) for values in models.values()} | set(SELF_HOSTED))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in models.items())
    source = json.dumps(f"litellm {litellm.version}")
    arguments = json.dumps(sorted(own_arguments(module)))
    head = f'"source": {source},\n"providers": {json.dumps(providers)},\n"arguments": {arguments}'
    return f'{{{head},\n"models": {{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, {TARGET: generate()}, "the pinned LiteLLM says", "generate"))
