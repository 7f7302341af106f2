"""How good the simple model's answers must be, as measured: `spec.route.minQuality` of a RoutingPolicy, and what its
status says of that.
"""

import re
from enum import StrEnum
from typing import Final, Self

from pydantic import ConfigDict, Field, model_validator

from tollway_api.meta import (
    LEAST_PERIOD,
    Duration,
    ModelNameText,
    NoisePercent,
    Percent,
    Spec,
    at_least,
    check_at_least,
    rules,
    share,
)

_PROVABLE: Final = "least must be below 100%: no number of labels proves that nothing is ever worse"
_IN_ORDER: Final = "minSimpleShare must not be above maxSimpleShare"
_MODEL_NAMED: Final = "type Model needs the name of the model; write model"


class QualityJudgeType(StrEnum):
    CASCADE = "Cascade"  # the cache's judge, and a model where that does not find two answers the same
    MODEL = "Model"  # a model alone


class QualityJudge(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(("self.type != 'Model' || has(self.model)", "model", _MODEL_NAMED))
    )

    type: QualityJudgeType = Field(
        default=QualityJudgeType.CASCADE,
        description="Who compares the two answers. Cascade: the cache's own judge, and where it does not find them the "
        "same, a model of the policy. Model: a model alone.",
    )
    model: ModelNameText | None = Field(
        default=None,
        description="The policy's model that is asked; needed with type Model. Absent: complexModel, which may like "
        "its own answers better than they are, so a third one is fairer to the simple model.",
    )
    error_rate: NoisePercent = Field(
        default="0%",
        description="How often the judge is known to be wrong, either way; taken out of the estimate. Say no more than "
        "has been measured: what is said too much makes the floor too lax.",
    )

    @model_validator(mode="after")
    def _model_is_named(self) -> Self:
        if self.type is QualityJudgeType.MODEL and self.model is None:
            raise ValueError(_MODEL_NAMED)
        return self


def _number(field: str) -> str:
    return f"double(self.{field}.replace('%', ''))"


class MinQuality(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!self.least.startsWith('100')", "least", _PROVABLE),
            (f"{_number('minSimpleShare')} <= {_number('maxSimpleShare')}", "minSimpleShare", _IN_ORDER),
            at_least("window", LEAST_PERIOD),
        )
    )

    least: Percent = Field(
        description="Least share of the simple model's answers that are as good as the complex one's would have been, "
        "or better."
    )
    sample_rate: Percent = Field(
        default="2%",
        description="Share of the prompts that may be left to the simple model which the other one of the two models "
        "is also asked, behind the reply and within the tenant's budget, so that their answers are judged.",
    )
    judge: QualityJudge = Field(default=QualityJudge(), description="Who says which answers are good enough.")
    min_simple_share: Percent = Field(
        default="0%",
        description="Share of prompts, by the router's curve, that the simple model answers whatever labels say, and "
        "all that it answers before they say anything. 0%: then the complex model answers everything.",
    )
    max_simple_share: Percent = Field(
        default="100%",
        description="The most that it may answer where labels show that the floor holds. Beyond, nothing is judged.",
    )
    window: Duration = Field(
        default="168h", description="How long a label counts. Shorter forgets sooner, and proves less."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if re.match("100", self.least):
            raise ValueError(_PROVABLE)
        if share(self.min_simple_share) > share(self.max_simple_share):
            raise ValueError(_IN_ORDER)
        check_at_least("window", self.window, LEAST_PERIOD)
        return self


class QualityStatus(Spec):
    """Of what the simple model answers now, or of what it would answer first. Shares of 1."""

    estimate: str = Field(
        max_length=8, description="Share of its judged answers that were as good as the complex model's."
    )
    lower: str = Field(
        max_length=8,
        description="It is hardly smaller than this, whatever those are that nobody could judge.",
    )
    upper: str = Field(
        max_length=8, description="It is hardly larger than this, whatever those are that nobody could judge."
    )
    labels: int = Field(ge=0, description="Judged answers in the window.")
    simple_share: str = Field(
        max_length=8,
        description="Where the router's dial stands now: the share of prompts that the simple model is to answer, by "
        "the router's curve.",
    )
    measured_share: str = Field(
        max_length=8,
        description="The share of this policy's own sampled prompts that is easy enough for these numbers.",
    )
