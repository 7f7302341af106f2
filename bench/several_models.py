"""What a third model between the simple and the complex one is worth: `python -m bench.several_models --data FOLDER`.

Of three of LLMRouter's models each, with the prices of their sizes: 300 labels are drawn, weights fitted to them, and
all other prompts are sent where a policy's dial of `quality` sends them, once with the model between and once without.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from bench.own_labels import drawn, rows, some
from tollway_api.catalog import bundled
from tollway_api.model_order import steps
from tollway_api.routing_policy import Model, Pricing
from tollway_cli.router_fit import Doubles, fit
from tools.cache_data import rows as content_of
from tools.router_data import Pair, Vectors, nine_models
from tools.train_router import KEPT

LADDERS: Final = (
    ("codegemma-7b", "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"),
    ("mistral-7b-instruct-v0.3", "gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct"),
    ("llama3-chatqa-1.5-8b", "qwen2.5-7b-instruct", "llama-3.3-nemotron-super-49b-v1"),
)
PRICES: Final = ("0.1", "0.2", "0.9")  # USD per million tokens
DIALS: Final = (0.85, 0.9, 0.95)
LABELS, DRAWS = 300, 3


def measured(folder: Path, vectors: Vectors, names: tuple[str, ...], seed: int) -> list[list[float]]:
    """Per dial: quality that is kept and what is spent, of the complex model's, of two models and of three."""
    questions, content = nine_models(folder), content_of(folder, "llmrouter_9models")
    scores = [np.array([row["scores"][name] for row in content], dtype=np.float64) for name in names]
    every = rows(questions, Pair("", scores[0], scores[-1]), vectors)
    places, others = drawn(every, LABELS, seed)
    found, rest = fit(some(every, places), seed), some(every, others)
    log_odds = found.own.slope * rest.log_odds + found.own.shift + rest.seen @ np.array(found.own.weights)
    models = [
        Model(
            name=name,
            model="openai/own",
            pricing=Pricing(input=price, output=price),
            quality=f"{of[places].mean():.3f}",
        )
        for name, price, of in zip(names, PRICES, scores, strict=True)
    ]
    ladder = steps(models, names[0], names[-1], bundled())
    answers = np.column_stack([of[others] for of in scores])
    shown = []
    for least in DIALS:
        without = (found.own_dial.for_quality(least), 9.0)
        several = found.own_dial.for_steps(ladder, least) if ladder else without
        shown.append(
            [
                each
                for thresholds in (without, several)
                for each in kept(1 / (1 + np.exp(-log_odds)), answers, thresholds)
            ]
        )
    return shown


def kept(probability: Doubles, answers: Doubles, thresholds: tuple[float, ...]) -> tuple[float, float]:
    first, second = thresholds
    model = np.where(probability >= first, 0, np.where(probability >= second, 1, 2))
    quality = answers[np.arange(len(model)), model].sum() / answers[:, -1].sum()
    prices = np.array(list(map(float, PRICES)))
    return float(quality), float(prices[model].mean() / prices[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with llmrouter_9models.jsonl.gz")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the encoder's vectors are kept")
    options = parser.parse_args()
    print("| models | dial | two: kept | spent | three: kept | spent |\n|---|---:|---:|---:|---:|---:|")
    for names in LADDERS:
        found = [measured(options.data, Vectors(options.keep), names, seed) for seed in range(DRAWS)]
        for least, mean in zip(DIALS, np.mean(found, axis=0), strict=True):
            print(
                f"| {', '.join(names)} | {least:.0%} | " + " | ".join(f"{each:.1%}" for each in mean) + " |"
            )


if __name__ == "__main__":
    main()
