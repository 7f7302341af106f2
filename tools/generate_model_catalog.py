"""Writes api/tollway_api/model_catalog.json from the pinned LiteLLM's price table; `--check` only compares.

Reads the table as a file of the installed distribution: importing LiteLLM takes seconds and is not needed.
"""

import json
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


def tokens(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def row(facts: dict[str, object]) -> list[object]:
    mode = MODES[str(facts["mode"])]
    output = pico_usd(facts.get("output_cost_per_token"))
    return [
        facts["litellm_provider"],
        mode,
        pico_usd(facts.get("input_cost_per_token")),
        0 if mode == "embedding" else output,  # an embedding has no completion tokens to pay for
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
