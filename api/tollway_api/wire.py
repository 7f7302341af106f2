"""What both planes must agree on outside the snapshot: the names of Redis keys, indexes and limits, and how an API
key becomes a digest. Every key carries the schema version, so that a later layout never meets this one.

All keys of one cache partition carry one hash tag: a Redis Cluster keeps them on one shard. So do all keys of the
ledger, because a request may count in several accounts at once.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from tollway_api.error_control import SLICES
from tollway_api.meta import TenantName
from tollway_api.own_weights import FITTED_OVER
from tollway_api.snapshot import ErrorControl, Index, IndexVersion, Limit, Model, Policy, SharedLimit

_PREFIX: Final = "tollway:1"
# The field of a vector's document with what tells words apart. Its number changes with how words are found or encoded.
WORDS: Final = "words1"
# The field with the vector of the judge's own encoder, where the index has another embedding.
JUDGED: Final = "judged1"
TURNS: Final = "turns1"  # the field with what was said in a chat before the prompt
# The fingerprint of the judge's weights that ship with the data plane. `tools/train_judge.py` says the new one.
JUDGE_WEIGHTS: Final = "4803d5310c1b"
# Its number changes with what becomes a label: since 2 what nobody can say is counted apart, and not as wrong.
LABELS: Final = "labels2"
# The same of the router's answers.
ROUTE_LABELS: Final = "labels1"
INDEX_PREFIX: Final = f"{_PREFIX}:index:"
DROPPING_PREFIX: Final = f"{_PREFIX}:dropping:"
# When what was purged (epochs.py); news of that and of evictions, a stream; the lease of who deletes what is void.
EPOCHS_KEY: Final = f"{_PREFIX}:{{epochs}}"
NEWS_KEY: Final = f"{EPOCHS_KEY}:news"
# What data planes have found of models that are not well: a hash.
HEALTH_KEY: Final = f"{_PREFIX}:{{health}}"
FLEET_KEY: Final = f"{_PREFIX}:{{fleet}}"  # what each of them does: a hash
SWEEP_KEY: Final = f"{EPOCHS_KEY}:sweep"
FENCE_KEY: Final = f"{_PREFIX}:fence"  # the latest leadership that wrote here
# A Lease counts in 32 bits, and one more must fit. What is above was written by no leader, so it refuses none.
MOST_FENCE: Final = 2**30
DIGEST_PREFIX: Final = "sha256:"
# Secrets of the installation's namespace that the operator writes.
SNAPSHOT_SECRET: Final = "tollway-snapshot"  # noqa: S105 - its name
ADMIN_TOKEN_SECRET: Final = "tollway-admin-token"  # noqa: S105 - its name
OWN_SECRETS: Final = re.compile(rf"{ADMIN_TOKEN_SECRET}|{SNAPSHOT_SECRET}(-[ab]-[0-9]+)?")
FINGERPRINT_DIGITS: Final = 12


def key_digest(api_key: str) -> str:
    """SHA-256 of an API key, lower-case hex. Keys are long and random, so no salt and no stretching."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def digest_in_secret(value: str) -> str:
    """The digest a Secret's value stands for: the value itself when it is one already."""
    value = value.strip()
    if re.fullmatch(rf"{DIGEST_PREFIX}[0-9a-fA-F]{{64}}", value):
        return value.removeprefix(DIGEST_PREFIX).lower()
    return key_digest(value)


def fingerprint(index_parts: tuple[str, ...]) -> str:
    """Names an embedding space: vectors of different fingerprints must never be compared."""
    return hashlib.sha256("\n".join(index_parts).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def index_version(index_id: str, fingerprint: str) -> str:
    return f"{index_id.replace('/', '.')}.{fingerprint}"


def next_version(name: str) -> str:
    """Another name for the same embedding space, for where something else bears the first."""
    index, _, standing = name.rpartition(".")
    return f"{index}.{fingerprint((standing,))}"


def index_name(version: IndexVersion) -> str:
    """The RediSearch index of one index version."""
    return f"{INDEX_PREFIX}{version.name}"


def dropping_name(index_name: str) -> str:
    """What stands while the index version of this RediSearch name is being deleted: an index as well, over nothing,
    because Redis may evict any key, and then nobody would know of what is left.
    """
    return f"{DROPPING_PREFIX}{index_name.removeprefix(INDEX_PREFIX)}"


def dropped_under(dropping_name: str) -> str:
    """The RediSearch name of the index version that is being deleted."""
    return f"{INDEX_PREFIX}{dropping_name.removeprefix(DROPPING_PREFIX)}"


def name_on_shard(index_name: str, tag: str) -> str:
    """What an index is called on one shard of a cluster whose module has no coordinator. Such a module takes the name
    for a key, and so a shard knows only names that hash to it; `tag` is one that does.
    """
    return f"{index_name}:{{{tag}}}"


def name_of_all_shards(name_on_shard: str) -> str:
    """The name of the index of which this is a shard's."""
    return name_on_shard.partition(":{")[0]


def owner_of(index_name: str) -> str:
    """The id (`namespace/name`) of the index whose version has this RediSearch name, or is being deleted under it."""
    namespace, _, name = index_name.rpartition(":")[2].rpartition(".")[0].partition(".")
    return f"{namespace}/{name}"


def prefix_of_vectors(index_name: str) -> str:
    """What the keys begin with that the index of this RediSearch name takes in."""
    return f"{_PREFIX}:vector:{index_name.removeprefix(INDEX_PREFIX)}:"


def vector_prefix(version: IndexVersion) -> str:
    return prefix_of_vectors(index_name(version))


def vector_pattern(index_id: str) -> str:
    """A glob over the keys of the vectors of every version of an index."""
    return f"{_PREFIX}:vector:{index_id.replace('/', '.')}.{'[0-9a-f]' * FINGERPRINT_DIGITS}:*"


def vector_key(version: IndexVersion, partition: str, entry: str) -> str:
    return f"{vector_prefix(version)}{{{partition}}}:{entry}"


def place_of(vector_key: str) -> tuple[str, str]:
    """The partition and the entry whose vector has this key."""
    rest, _, entry = vector_key.rpartition(":")
    return rest[rest.rfind("{") + 1 : -1], entry


def reembedding_keys(version_name: str) -> tuple[str, str]:
    """How far an index version is filled, and who is at it. One hash tag, so that one script sees both."""
    base = f"{_PREFIX}:reembedding:{{{version_name}}}"
    return base, f"{base}:owner"


def reembedding_pattern(index_id: str) -> str:
    """A glob over those of all versions of an index."""
    key, _ = reembedding_keys(f"{index_id.replace('/', '.')}.{'[0-9a-f]' * FINGERPRINT_DIGITS}")
    return f"{key}*"


def health_field(policy_id: str, model: Model) -> str:
    """Of a policy's model at an endpoint. With another address or key, or under another name there, it is another."""
    parts = (policy_id, model.name, model.upstream_id, model.endpoint or "", model.api_key or "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=1_024)
def index_tag(index_id: str) -> str:
    """What the partitions of an index begin with, so that its entries are found when it is deleted."""
    return hashlib.sha256(index_id.encode()).hexdigest()[:8]


def tagged_pattern(index_id: str) -> str:
    """A glob over the keys of all partitions of an index, of which there are its entries, their vectors and their
    labels; others may match by chance.
    """
    return f"{_PREFIX}:*{{{index_tag(index_id)}*"


@lru_cache(maxsize=16_384)
def owner_tag(tenant: str) -> str:
    """What comes next, so that a tenant's entries are found when they are purged; "" is the owner of what is shared."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:8]


def entry_prefix(index_id: str) -> str:
    """What the keys of an index's entries begin with."""
    return f"{_PREFIX}:entry:{{{index_tag(index_id)}"


# Of every entry and every vector; and how their keys begin, since a glob lets more through.
REMEMBERED_PATTERN: Final = f"{_PREFIX}:[ev]*:*{{*"
REMEMBERED: Final = (f"{_PREFIX}:entry:", f"{_PREFIX}:vector:")


def entry_pattern(index_id: str) -> str:
    """A glob over the keys of an index's entries."""
    return f"{entry_prefix(index_id)}*"


def matter_tag(partition: str, word: str) -> str:
    """Another value of a document's partition field: chats of the partition in which a word was said."""
    return partition + hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def entry_key(partition: str, entry: str) -> str:
    """A remembered answer. It outlives its vectors, so that a new embedding finds it again."""
    return f"{_PREFIX}:entry:{{{partition}}}:{entry}"


def claim_key(partition: str, entry: str) -> str:
    """Stands while some data plane asks a provider for what it will remember there."""
    return f"{_PREFIX}:claim:{{{partition}}}:{entry}"


def label_prefix(index_id: str) -> str:
    """What the keys begin with under which an index's hits are counted as they are judged, and kept until they are."""
    return f"{_PREFIX}:labels:{{{index_tag(index_id)}}}:"


@dataclass(frozen=True, slots=True)
class Sample:
    """What labels are counted of. Where something changes that decides of what, who judges, or what a score means, its
    population is another one, and counting begins anew.
    """

    prefix: str  # of the keys
    population: str
    control: ErrorControl


def hits_of(index: Index) -> Sample | None:
    """Hits by meaning, where their error rate is bounded. Other weights of the judge give them other probabilities, and
    answers other verdicts. Another embedding only finds other candidates; the judge reads its own encoder's vectors of
    them, so a probability means what it did, and to begin anew would be to serve nothing after each migration.
    """
    if (control := index.accuracy) is None:
        return None
    what = (str(index.strict_threshold), *index.checks)
    return Sample(label_prefix(index.id), _population(control, what, (JUDGE_WEIGHTS, LABELS)), control)


def choices_of(policy: Policy) -> Sample | None:
    """What a policy's router chooses a model for, where the simple one's answers are judged. Another model under the
    same name gives other answers.
    """
    route = policy.route
    if (control := route.min_quality) is None:
        return None
    models = (policy.models[each] for each in (route.simple, route.complex))
    asked = (part for each in models for part in _what_answers(each))
    examples = (str(len(route.simple_examples)), *route.simple_examples, *route.complex_examples)
    what, made = (
        (*asked, *examples, route.weights, str(route.sticky)),
        (JUDGE_WEIGHTS, FITTED_OVER, ROUTE_LABELS),
    )
    tag = hashlib.sha256(policy.id.encode()).hexdigest()[:8]
    return Sample(f"{_PREFIX}:quality:{{{tag}}}:", _population(control, what, made), control)


def _what_answers(model: Model) -> tuple[str, ...]:
    """What its answers depend on beside what it is asked."""
    region = "" if model.aws is None else model.aws.region
    extra_body = json.dumps(model.extra_body, sort_keys=True)
    return model.upstream_id, model.endpoint or "", model.api_version or "", region, extra_body


def _population(control: ErrorControl, what: Iterable[str], made: Iterable[str]) -> str:
    bound = control.bound
    who = (bound.least_threshold, bound.judge_error_rate, control.judge, control.judge_model)
    return fingerprint((*map(str, who), *what, str(control.window_ms), *made))


def label_keys(sample: Sample, now_ms: int) -> list[str]:
    """The counts of a window's time slices, the newest first."""
    newest = now_ms // slice_ms(sample.control)
    return [f"{sample.prefix}{sample.population}:{newest - age}" for age in range(SLICES)]


def slice_ms(control: ErrorControl) -> int:
    return control.window_ms // SLICES


def label_pattern(index_id: str) -> str:
    """A glob over both."""
    return f"{label_prefix(index_id)}*"


def served_key(index_id: str, request_id: str) -> str:
    """Which entry a request was served from, for as long as it may be said to have been wrong."""
    return f"{label_prefix(index_id)}served:{request_id}"


_LEDGER: Final = f"{_PREFIX}:{{ledger}}"


class LedgerKeys(NamedTuple):
    """Where the ledger has what; `ledger.lua` says how. Holds are in one place for all accounts, so that those whose
    process is gone come back by whatever is asked next.
    """

    holds: str
    expiry: str
    recalled: str
    refused: str
    finished: str  # of a tenant
    spent: str  # of an account


def ledger_keys(account: str) -> LedgerKeys:
    """An account is a tenant's, under its name, or a shared budget's, under its id, which has a `/` as no name has."""
    return LedgerKeys(
        f"{_LEDGER}:holds",
        f"{_LEDGER}:expiry",
        f"{_LEDGER}:recalled",
        f"{_LEDGER}:refused",
        f"{_LEDGER}:finished:{account}",
        f"{_LEDGER}:spent:{account}",
    )


def account_of(tenant: TenantName, limit: Limit) -> str:
    """Where what a tenant uses of a limit is counted."""
    return limit.budget.account if isinstance(limit, SharedLimit) else tenant


# What the id of a hold begins with by which a pod sets something aside; no request's does.
LEASE: Final = "lease."


def held_as(tenant: TenantName, hold_id: str) -> str:
    """What the ledger calls a hold, which is only known by its id within a tenant."""
    return f"{tenant}/{hold_id}"


def alert_key(account: str, limit: Limit, resets_ms: int, event: str) -> str:
    """Stands once it has been told that a limit comes near its end in a window, or is used up."""
    return f"{_LEDGER}:alert:{account}:{counted_as(limit)}:{resets_ms}:{event}"


def counted_as(limit: Limit) -> str:
    """What the ledger calls a limit within its account: its unit belongs to it, so that dollars spent never pass for
    tokens. It has no space, no `|` and no `=`, which the ledger puts between names and amounts.
    """
    return f"{limit.name}:{limit.unit}"


def full_name(account: str, limit: Limit) -> str:
    """What the ledger calls a limit among those of all accounts."""
    return f"{account}:{counted_as(limit)}"


def sum_of(account: str, limit: Limit) -> str:
    """What the ledger calls the sum of all that is held of a limit."""
    return f"={full_name(account, limit)}"
