"""What a snapshot has to be by its own account: compiled anew from the objects that it names, as they were in those
generations, with what it holds of their Secrets. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Final

from tollway_api import semantic_cache_index, wire
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import RawObject, SecretKey, Secrets, identify, inventory_of, parse_resource
from tollway_api.meta import Identity, Resource, Spec
from tollway_api.reach import OWN
from tollway_api.routing_policy import RoutingPolicySpec
from tollway_api.snapshot import IndexVersion, Snapshot, Source
from tollway_operator.references import values_in

_MOST_GUESSES: Final = 64


@dataclass(frozen=True)
class Seen:
    """What there ever was: bodies of each object, of which several may be of one generation when it was made again, and
    what each key of each Secret held.
    """

    bodies: Mapping[Identity, Sequence[RawObject]] = field(default_factory=dict)
    secrets: Mapping[SecretKey, Mapping[str, Iterable[str]]] = field(default_factory=dict)


def unexplained(served: Snapshot, seen: Seen) -> Iterator[str]:
    """What in a snapshot does not come from its objects. Of one that names what nobody has seen nothing can be said."""
    generations = [list(_of_generation(source, seen)) for source in served.sources]
    if not all(generations):
        return
    secrets = values_in(served)
    yield from _never_held(secrets, seen)
    guesses = (_compiled(bodies, secrets, served) for bodies in islice(product(*generations), _MOST_GUESSES))
    if not any(_of_the_same_versions(guess, served) == served for guess in guesses if guess):
        yield f"{served.sources} compile to something else"
    for index in served.indexes.values():
        identity = Identity(semantic_cache_index.KIND, index.namespace, index.name)
        made = (_compiled([body], secrets, served) for body in seen.bodies[identity])
        spaces = [
            _space(each.indexes[index.id].version) for each in made if each and index.id in each.indexes
        ]
        if any(_space(version) not in spaces for version in index.versions):
            yield f"{identity} never had the embedding that it is served with"


def _of_generation(source: Source, seen: Seen) -> Iterator[RawObject]:
    identity = Identity(source.kind, source.namespace, source.name)
    for body in seen.bodies.get(identity, ()):
        parsed = parse_resource(identity, body)
        if isinstance(parsed, Resource) and parsed.generation == source.generation:
            yield body


def _never_held(secrets: Secrets, seen: Seen) -> Iterator[str]:
    for where, values in secrets.items():
        for key, value in values.items():
            held = map(wire.digest_in_secret, seen.secrets.get(where, {}).get(key, ()))
            if wire.digest_in_secret(value) not in held:
                yield f"Secret {where} never held in {key!r} what is served of it"


def _compiled(bodies: Iterable[RawObject], secrets: Secrets, served: Snapshot) -> Snapshot | None:
    """None where one of them says nothing that can be used."""
    resources: list[Resource[Spec]] = []
    for body in bodies:
        parsed = parse_resource(identify(body), body)
        if not isinstance(parsed, Resource):
            return None
        resources.append(parsed)
    # An index that was left out is there all the same.
    left_out = [
        Identity(semantic_cache_index.KIND, each.identity.namespace, each.spec.cache.index_ref.name)
        for each in resources
        if isinstance(each.spec, RoutingPolicySpec) and each.spec.cache
    ]
    inventory = inventory_of(
        resources, secrets, {each for each in left_out if each.path not in served.indexes}
    )
    return compile_snapshot(inventory, bundled(), served.installation_namespace, reach=OWN).snapshot


def _of_the_same_versions(made: Snapshot, served: Snapshot) -> Snapshot:
    """Which version of an index is asked, and what is beside it, says what stands in Redis; what one that is left out
    goes on from was published before.
    """
    indexes = {
        name: replace(index, version=served.indexes[name].version, beside=served.indexes[name].beside)
        for name, index in made.indexes.items()
        if name in served.indexes
    }
    return replace(made, indexes=indexes, left_out=served.left_out)


def _space(version: IndexVersion) -> IndexVersion:
    """But for its name, which something else may have borne, and its key, which is looked at apart."""
    return replace(version, name="", embedding=replace(version.embedding, api_key=None))
