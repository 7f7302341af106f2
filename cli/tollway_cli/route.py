"""`tollway route`: which model of a policy would answer a prompt, and why, without asking any."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tollway_api.snapshot import Policy, Route, Snapshot
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.choosing import Choosing
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.prompts.prompt_features import NAMES, features, in_counts
from tollway_dataplane.routing.complexity import embedding, prompts_of
from tollway_dataplane.routing.fitting import Choice, able_model
from tollway_dataplane.routing.router import shipped
from tollway_dataplane.routing.routing import ladder

# The encoder's first run takes longer than any other.
_EMBED_S = 10.0


@dataclass(frozen=True)
class Explained:
    policy: Policy
    choice: Choice
    features: dict[str, float]  # what was seen of the prompt, but for what it has none of


async def explain(snapshot: Snapshot, policy_id: str | None, prompt: str) -> Explained:
    """Of a policy "namespace/name", or of the only one. Raises LookupError that says which there are, and EmbedderFault
    when the encoder cannot be loaded.
    """
    policy = _policy(snapshot, policy_id)
    request = ChatRequest("route", "auto", [{"role": "user", "content": prompt}], prompt=prompt)
    embedder = await LocalEmbedder.load()
    try:
        choosing = Choosing(embedder, shipped(), _EMBED_S)
        await choosing.prepare(snapshot)
        routed = await choosing.routed(request, policy.route)
    finally:
        await embedder.aclose()
    choice = able_model(routed, request, frozenset(), policy)
    seen = zip(NAMES, features(prompts_of(request)[-1].text), strict=True)
    return Explained(policy, choice, {name: in_counts(name, value) for name, value in seen if value})


def _policy(snapshot: Snapshot, policy_id: str | None) -> Policy:
    found = [each for each in snapshot.policies if policy_id in {None, each.id}]
    if not snapshot.policies:
        raise LookupError("there is no RoutingPolicy without an error here; name its file or folder")
    if len(found) != 1:
        known = ", ".join(sorted(each.id for each in snapshot.policies))
        raise LookupError(f"name one of the policies with --policy; there are: {known}")
    return found[0]


def route_table(found: Explained) -> Table:
    table = Table(show_header=False)
    route, choice = found.policy.route, found.choice
    table.add_row("model", Text(choice.model, "bold"))
    table.add_row("reason", Text(choice.reason))
    table.add_row("policy", Text(found.policy.id))
    table.add_row("simple, complex model", Text(f"{route.simple}, {route.complex}"))
    table.add_row("classifier", Text(route.classifier))
    assessment = choice.assessment
    if assessment is not None and assessment.probability is not None:
        table.add_row("simple is good enough", f"probability {assessment.probability:.4f}")
        for model, threshold in zip(ladder(route), embedding(route, shipped()).thresholds, strict=False):
            table.add_row(Text(f"{model} from"), f"{threshold:.4f}, of {_dial(found.policy)}")
        table.add_row(Text(f"{route.complex} below"), "")
        table.add_row("by", Text(_weights(route, is_own=assessment.has_own_weights)))
    for name, value in found.features.items():
        table.add_row(Text(name.replace("_", " "), "dim"), Text(_number(value), "dim"))
    return table


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _weights(route: Route, *, is_own: bool) -> str:
    if not route.weights:
        return "the shipped model"
    return (
        "own weights"
        if is_own
        else "the shipped model: own weights are not of this version (tollway validate)"
    )


def _dial(policy: Policy) -> str:
    quality, share = policy.route.quality, policy.route.simple_share
    if policy.route.min_quality is not None:
        return f"simple share {share:.4g}, before labels show that it may be more"
    return f"quality {quality:.4g}" if quality is not None else f"simple share {share:.4g}"
