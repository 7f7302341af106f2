"""Who is calling, and which policy governs the request. The tenant comes from the bearer key alone; nothing a
caller writes in a body can change it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from tollway_api.conditions import moment
from tollway_api.meta import TenantName
from tollway_api.snapshot import KeyFacts, Policy, SharedLimit, Snapshot, Tenant
from tollway_dataplane.errors import Refusal, RefusalCode


class Caller(NamedTuple):
    """Who calls: a tenant, and what people call the key it calls with."""

    tenant: Tenant
    key: str


_NO_FACTS: Final = KeyFacts()


@dataclass(frozen=True)
class Directory:
    """A snapshot with what is looked up per request laid out for it. Built once per snapshot."""

    snapshot: Snapshot
    revision: str

    @cached_property
    def _holder_of_digest(self) -> Mapping[str, tuple[Tenant, str]]:
        """A tenant, and where the key stands."""
        return {
            digest: (tenant, place)
            for tenant in self.snapshot.tenants.values()
            for place, digest in tenant.key_digests.items()
        }

    @cached_property
    def _policies_of_namespace(self) -> Mapping[str, "_Policies"]:
        """The policies of each namespace, in the snapshot's order."""
        found: dict[str, list[Policy]] = {}
        for policy in self.snapshot.policies:
            found.setdefault(policy.namespace, []).append(policy)
        return {namespace: _Policies(tuple(each)) for namespace, each in found.items()}

    def _policies_over(self, namespace: str) -> tuple["_Policies", ...]:
        """What may govern tenants of a namespace: its own policies first, then the installation's."""
        known = self._over_namespace.get(namespace)
        if known is None:
            both = dict.fromkeys((namespace, self.snapshot.installation_namespace))
            of = self._policies_of_namespace
            known = self._over_namespace[namespace] = tuple(of[each] for each in both if each in of)
        return known

    @cached_property
    def _over_namespace(self) -> dict[str, tuple["_Policies", ...]]:
        """Filled as they call."""
        return {}

    @cached_property
    def _limits_of_shared(self) -> Mapping[str, tuple[SharedLimit, ...]]:
        return self.snapshot.limits_of_shared()

    @cached_property
    def _with_shared(self) -> dict[TenantName, Tenant]:
        """Filled as they call: all at once would keep whoever comes first waiting."""
        return {}

    def _counted(self, tenant: Tenant) -> Tenant:
        """The tenant with the limits of all budgets that count its requests, its own first."""
        if not tenant.shared:
            return tenant
        known = self._with_shared.get(tenant.name)
        if known is None:
            shared = [limit for each in tenant.shared for limit in self._limits_of_shared[each]]
            known = self._with_shared[tenant.name] = replace(tenant, limits=(*tenant.limits, *shared))
        return known

    def authenticate(self, digest: str | None, now_s: float) -> Caller:
        """The tenant whose key has this digest, with all limits that count its requests; None when no key was sent.
        `now_s` is since the epoch.

        Raises Refusal 401 for a missing or unknown key, and for one that has expired.
        """
        if digest is None:
            message = 'no API key; send the header "Authorization: Bearer <your key>"'
            raise Refusal(401, RefusalCode.INVALID_API_KEY, message)
        holder = self._holder_of_digest.get(digest)
        if holder is None:
            message = "unknown API key; check it, or ask whoever runs this gateway for a TenantBudget with it"
            raise Refusal(401, RefusalCode.INVALID_API_KEY, message)
        tenant, place = holder
        facts = tenant.key_facts.get(place, _NO_FACTS)
        if facts.expires_ms is not None and now_s * 1_000 >= facts.expires_ms:
            message = (
                f"this API key expired at {moment(facts.expires_ms)}; use the one that has taken its place, or ask "
                "whoever runs this gateway for one"
            )
            raise Refusal(401, RefusalCode.EXPIRED_API_KEY, message)
        return Caller(self._counted(tenant), facts.name or place)

    def policies_for(self, tenant: Tenant) -> tuple[Policy, ...]:
        """Policies that may govern a tenant, best first, whatever it asks for."""
        return tuple(
            policy
            for some in self._policies_over(tenant.namespace)
            for policy in some.policies
            if not policy.match.tenants or tenant.name in policy.match.tenants
        )

    def match(self, tenant: Tenant, model: str, headers: Mapping[str, str]) -> Policy:
        """The first policy whose match the request meets.

        Raises Refusal 404 when there is none, naming those that were tried.
        """
        for some in self._policies_over(tenant.namespace):
            if (policy := some.first(tenant.name, model, headers)) is not None:
                return policy
        candidates = (policy for some in self._policies_over(tenant.namespace) for policy in some.policies)
        tried = ", ".join(policy.id for policy in candidates) or "none exists for this tenant"
        message = f"no RoutingPolicy matches model {model[:128]!r} for tenant {tenant.name!r}; tried: {tried}"
        raise Refusal(404, RefusalCode.NO_POLICY, message, param="model")


class _Policies:
    """Those of one namespace, best first. Which of them a request meets is read off bitmaps, so that a thousand
    policies take hardly longer than ten: bit n of a name's stands for the policy at place n (P. O'Neil, "Model 204
    Architecture and Performance", 1987). Headers are looked at one policy after the other.
    """

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        self.policies = policies
        self._of_tenant = _Bitmaps([each.match.tenants for each in policies])
        self._of_model = _Bitmaps([each.match.models for each in policies])

    def first(self, tenant: TenantName, model: str, headers: Mapping[str, str]) -> Policy | None:
        """The best that the request meets."""
        left = self._of_tenant.meeting(tenant) & self._of_model.meeting(model)
        while left:
            lowest = left & -left
            policy = self.policies[lowest.bit_length() - 1]
            wanted = policy.match.headers
            if not wanted or all(headers.get(each.name) == each.value for each in wanted):
                return policy
            left ^= lowest
        return None


class _Bitmaps:
    """Which policies name something, as bits, by the name; and which name nothing, so that everything meets them."""

    def __init__(self, named: Sequence[Collection[str]]) -> None:
        self._named: dict[str, int] = {}
        self._any = 0
        for place, names in enumerate(named):
            if not names:
                self._any |= 1 << place
            for name in names:
                self._named[name] = self._named.get(name, 0) | 1 << place

    def meeting(self, name: str) -> int:
        return self._any | self._named.get(name, 0)
