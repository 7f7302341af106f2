"""How a RoutingPolicy chooses a model: its `spec.route`."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from tollway_api import own_weights
from tollway_api.meta import ATOMIC, MAP_BY_NAME, SET, Integer, ModelNameText, Percent, Spec, rules, text
from tollway_api.quality import MinQuality
from tollway_api.tenant_budget import AUTO


class Classifier(StrEnum):
    HEURISTIC = "Heuristic"
    EMBEDDING = "Embedding"


class ExplicitModel(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class Sessions(StrEnum):
    """Whether a chat that became complex stays with the complex model."""

    STICKY = "Sticky"
    PER_TURN = "PerTurn"


Keyword = Annotated[str, Field(min_length=1, max_length=64)]
ExamplePrompt = Annotated[str, Field(min_length=1, max_length=2_000)]


class Examples(Spec):
    """Prompts of which it is known. They count among what is like them, and hardly elsewhere."""

    simple: Annotated[list[ExamplePrompt], Field(max_length=100)] = Field(
        default=[],
        description="Prompts that the simple model answers well enough.",
        json_schema_extra=ATOMIC,
    )
    complex: Annotated[list[ExamplePrompt], Field(max_length=100)] = Field(
        default=[], description="Prompts that want the complex model.", json_schema_extra=ATOMIC
    )


_check_weights, _weights_schema = text(
    r"w[0-9]{1,3}\.[0-9a-f]{12}\.[A-Za-z0-9_-]+",
    "what tollway fit-router writes; paste its word whole",
    maxLength=own_weights.LONGEST,
)
Weights = Annotated[str, AfterValidator(_check_weights), WithJsonSchema(_weights_schema)]

_WEIGHTS = "weights are over embeddings, which Heuristic has none of; write classifier: Embedding"
_EXAMPLES = "examples are compared by embeddings, which Heuristic has none of; write classifier: Embedding"


class Complexity(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.classifier == 'Embedding' || !has(self.examples)", "examples", _EXAMPLES),
            ("self.classifier == 'Embedding' || !has(self.weights)", "weights", _WEIGHTS),
        )
    )

    classifier: Classifier = Field(
        default=Classifier.HEURISTIC,
        description="How complexity is told. Heuristic: by wordThreshold and keywords. Embedding: by a small model "
        "that says how likely the simple model's answer is good enough, or as Heuristic while it cannot.",
    )
    word_threshold: Integer = Field(
        default=50, ge=1, le=1_000_000, description="A prompt of more words is complex."
    )
    keywords: Annotated[list[Keyword], Field(max_length=256)] = Field(
        default=["analyze", "compare", "debug", "explain"],
        description="A prompt with one is complex.",
        json_schema_extra=SET,
    )
    examples: Examples | None = Field(default=None, description="Of this policy's own traffic. Absent: none.")
    weights: Weights | None = Field(
        default=None,
        description="What `tollway fit-router` has learned from labels of this policy's own traffic, and how the dial "
        "is to be read there. Absent: as the shipped model has it.",
    )

    @model_validator(mode="after")
    def _what_is_learned_is_embedded(self) -> Self:
        if self.classifier is not Classifier.EMBEDDING:
            for learned, message in ((self.examples, _EXAMPLES), (self.weights, _WEIGHTS)):
                if learned is not None:
                    raise ValueError(message)
        return self


class Alias(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.name != 'auto'", "name", "an alias cannot be named auto: that is what it may stand for")
        )
    )

    name: ModelNameText = Field(description="What callers may write as the model.")
    model: ModelNameText = Field(
        default=AUTO, description="What it stands for: a model of this policy, or auto."
    )


_ONE_DIAL = "quality, simpleShare and minQuality all set one dial; give one of them"
_DIAL = (
    "quality, simpleShare and minQuality choose by a probability, which Heuristic has none of; "
    "write complexity: {classifier: Embedding}"
)
_DIALS = ("quality", "simpleShare", "minQuality")
_HAS_DIAL = " || ".join(f"has(self.{each})" for each in _DIALS)
_DIALS_SET = " + ".join(f"(has(self.{each}) ? 1 : 0)" for each in _DIALS)


class Route(Spec):
    model_config = ConfigDict(
        json_schema_extra=rules(
            (f"{_DIALS_SET} <= 1", "simpleShare", _ONE_DIAL),
            (f"self.complexity.classifier == 'Embedding' || !({_HAS_DIAL})", "complexity.classifier", _DIAL),
        )
    )

    simple_model: ModelNameText | None = Field(
        default=None, description="Default: the cheapest, of input and output at three to one."
    )
    complex_model: ModelNameText | None = Field(
        default=None,
        description="Default: the dearest that no cheaper one is said to equal (models[].quality).",
    )
    explicit_model: ExplicitModel = Field(
        default=ExplicitModel.ALLOW,
        description="Whether a caller may name one of the models instead of auto.",
    )
    aliases: Annotated[list[Alias], Field(max_length=64)] = Field(
        default=[],
        description="Other names that callers may write, whether or not they may name the models.",
        json_schema_extra=MAP_BY_NAME,
    )
    sessions: Sessions = Field(
        default=Sessions.STICKY,
        description="Sticky: a chat with a complex turn of its user is complex from there on. PerTurn: its last turn "
        "alone decides.",
    )
    complexity: Complexity = Field(default=Complexity(), description="When a prompt is complex.")
    quality: Percent | None = Field(
        default=None,
        description="Least share of the complex model's quality to keep; as much is left to cheaper models as that "
        "allows. Default: 95%, with classifier Embedding, where simpleShare and minQuality are absent.",
    )
    simple_share: Percent | None = Field(
        default=None,
        description="Instead: the share of prompts that the simple model is to answer. Absent: quality.",
    )

    min_quality: MinQuality | None = Field(
        default=None,
        description="Instead: a floor under the quality of the simple model's answers that is measured on this "
        "policy's own traffic. As much is left to that model as labels show to hold. Absent: nobody judges it.",
    )

    @model_validator(mode="after")
    def _dial_has_one_position(self) -> Self:
        dials = sum(each is not None for each in (self.quality, self.simple_share, self.min_quality))
        if dials > 1:
            raise ValueError(_ONE_DIAL)
        if dials and self.complexity.classifier is not Classifier.EMBEDDING:
            raise ValueError(_DIAL)
        return self
