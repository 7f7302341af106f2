"""What users write of how often something may be wrong, as both planes go by it: an index's hits (`spec.accuracy`), or
the simple model's answers (`spec.route.minQuality`). Pure; called by `compiler`.
"""

from typing import Final

from tollway_api.error_control import Bound, Scale
from tollway_api.meta import ModelName, milliseconds, share
from tollway_api.quality import MinQuality
from tollway_api.semantic_cache_index import Accuracy, JudgeType, OnBreach, SemanticCacheIndexSpec
from tollway_api.snapshot import ErrorControl

_DIGITS: Final = 9  # of what is left of 1, so that it is what people write


def accuracy_control(spec: SemanticCacheIndexSpec) -> ErrorControl | None:
    asked = spec.accuracy
    if asked is None:
        return None
    bound = Bound(
        max_error_rate=share(asked.max_error_rate),
        judge_error_rate=share(asked.judge.error_rate),
        threshold=float(spec.match.threshold),
        least_threshold=float(asked.min_threshold or spec.match.threshold),
        bypasses=asked.on_breach is OnBreach.BYPASS,
    )
    return _control(asked, bound)


def quality_control(asked: MinQuality) -> ErrorControl:
    """By ease, of which there is the less the more prompts the simple model is left."""
    least, most = share(asked.min_simple_share), share(asked.max_simple_share)
    bound = Bound(
        max_error_rate=_rest(share(asked.least)),
        judge_error_rate=share(asked.judge.error_rate),
        threshold=_rest((least + most) / 2),
        least_threshold=_rest(most),
        bypasses=True,
        scale=Scale.EASE,
        most_threshold=_rest(least) if least else None,
    )
    return _control(asked, bound)


def _control(asked: Accuracy | MinQuality, bound: Bound) -> ErrorControl:
    return ErrorControl(
        bound=bound,
        sample_rate=share(asked.sample_rate),
        judge=JudgeType(asked.judge.type),
        judge_model=ModelName(asked.judge.model) if asked.judge.model else None,
        window_ms=milliseconds(asked.window),
    )


def _rest(part: float) -> float:
    return round(1 - part, _DIGITS)
