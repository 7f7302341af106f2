"""A request's parameters as a model is sent them. Called by who sends them, and by who counts what that may cost."""

from tollway_api.snapshot import Model
from tollway_dataplane.core.facts import JsonObject


def sent_parameters(parameters: JsonObject, model: Model) -> JsonObject:
    """With what the policy adds, which is instead of a caller's own."""
    return {**parameters, **model.extra_body} if model.extra_body else parameters
