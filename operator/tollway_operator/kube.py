"""The operator's one door to the Kubernetes API, besides kopf's watches. Every call has a deadline; what goes wrong is
one of our errors, and nothing is retried here: the loops do that.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, NoReturn, TypeVar, cast

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.core_v1 import ObjectReference, PodStatus
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import Namespace, Pod, Secret, ServiceAccount
from lightkube.resources.events_v1 import Event
from lightkube.types import PatchType

from tollway_api.crds import DEFINITIONS
from tollway_api.meta import API_VERSION, GROUP, VERSION, Identity
from tollway_operator.errors import Conflict, Forbidden, Invalid, KubeFault, NotFound, Unanswered
from tollway_operator.reports import DataPlanePod

FIELD_MANAGER: Final = "tollway-operator"
# The ServiceAccount that owns what we write, so that Kubernetes deletes it all when the chart is uninstalled. The data
# plane's, since whoever takes the operator away for a while must leave data planes what they start from. Helm deletes
# accounts after the roles by which we write, and no upgrade makes another of one.
OWNER_NAME: Final = "tollway-dataplane"
_OWNER: Final = ("v1", "ServiceAccount", OWNER_NAME)
# Said of no object: the API server, or what stands before it, is busy or cannot be reached.
_NO_TIME: Final = frozenset({429, 502, 503, 504})
_DEADLINE_S: Final = 10.0
_LIST_S: Final = 30.0  # of all pages
# Of a write: longer than an admission webhook may take by default, without which the API server may go on.
_WRITE_S: Final = 15.0
_LONGEST_WAIT_S: Final = 60.0  # that may be asked for: a proxy's mistake must not stop us for a day
_PAGE: Final = 500
_WATCH_S: Final = 300
_MOST_NOTE_BYTES: Final = 1024
_KINDS: Final = {
    definition.kind: create_namespaced_resource(GROUP, VERSION, definition.kind, definition.plural)
    for definition in DEFINITIONS
}
_FORBIDDEN: Final = 403
Labels = Mapping[str, str]
_StoredT = TypeVar("_StoredT", Secret, Lease)


@dataclass(frozen=True, slots=True)
class Owner:
    """What is written for as long as this ServiceAccount stands."""

    uid: str


@dataclass(frozen=True, slots=True)
class StoredSecret:
    data: Mapping[str, bytes]
    resource_version: str
    labels: Labels = field(default_factory=dict)
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class StoredLease:
    holder: str
    renewed: str  # RFC 3339 with microseconds
    transitions: int
    duration_s: int
    resource_version: str
    owner: Owner | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What has happened to an object, for `kubectl describe` and `kubectl get events`."""

    identity: Identity
    uid: str
    reason: str
    note: str
    warning: bool


class Presence(Enum):
    """What there is of a namespace."""

    STANDS = auto()  # as far as can be told
    LEAVES = auto()  # it is being deleted, which nothing can stop
    GONE = auto()


class Kube:
    """Make one with `open_kube`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._owner: Owner | None = None  # as it was seen last
        self._owners_stay = False  # of what there is: the cluster lets nobody change them

    async def secret(self, namespace: str, name: str) -> StoredSecret:
        """Raises KubeFault; NotFound and Forbidden among them."""
        async with _faults(f"read Secret {namespace}/{name}"):
            return _stored(await self._client.get(Secret, name, namespace=namespace))

    async def write_secret(
        self, namespace: str, name: str, data: Mapping[str, bytes], labels: Labels, replaces: str | None
    ) -> StoredSecret:
        """Creates it, or replaces the version given and no other. Raises KubeFault; Conflict among them."""
        metadata = ObjectMeta(
            name=name,
            namespace=namespace,
            labels=dict(labels),
            resourceVersion=replaces,
            ownerReferences=_references(await self.owner(namespace)),
        )
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        secret = Secret(metadata=metadata, data=encoded, type="Opaque")
        async with _faults(f"write Secret {namespace}/{name}", _WRITE_S):
            if replaces is None:
                return _stored(await self._client.create(secret))
            return _stored(await self._replaced(secret))

    async def owner(self, namespace: str) -> Owner | None:
        """Whose what is written now will be; None outside a chart. Raises KubeFault; NotFound where there was one: then
        all is being uninstalled, and what were written now would be left.
        """
        try:
            async with _faults(f"read ServiceAccount {namespace}/{OWNER_NAME}"):
                found = await self._client.get(ServiceAccount, OWNER_NAME, namespace=namespace)
        except NotFound:
            if self._owner is not None:
                raise
        except Forbidden:
            pass  # an earlier chart's role has no such rule
        else:
            self._owner = Owner(str(found.metadata.uid)) if found.metadata else None
        return self._owner

    async def _replaced(self, body: _StoredT) -> _StoredT:
        """Some clusters (by the admission plugin OwnerReferencesPermissionEnforcement) let nobody change the owner of
        what they may not delete: there an object keeps the one it has.
        """
        try:
            return await self._client.replace(body)
        except ApiError as exc:
            if exc.status.code != _FORBIDDEN or not (body.metadata and body.metadata.ownerReferences):
                raise
        self._owners_stay = True
        standing = await self._client.get(
            type(body), str(body.metadata.name), namespace=str(body.metadata.namespace)
        )
        body.metadata.ownerReferences = standing.metadata.ownerReferences if standing.metadata else None
        return await self._client.replace(body)

    async def versions(self, kind: str, namespaces: Sequence[str]) -> dict[str, int]:
        """What there is of a kind: resource version by uid. Raises KubeFault; Forbidden among them."""
        found: dict[str, int] = {}
        async with _faults(f"list {kind}", _LIST_S):
            for namespace in namespaces:
                async for each in self._client.list(_KINDS[kind], namespace=namespace, chunk_size=_PAGE):
                    metadata = each["metadata"]
                    found[metadata["uid"]] = int(metadata["resourceVersion"])
        return found

    async def bodies(self, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """Where there are few. Raises KubeFault; Forbidden among them."""
        async with _faults(f"list {kind} in {namespace}", _LIST_S):
            listing = self._client.list(_KINDS[kind], namespace=namespace, chunk_size=_PAGE)
            return [cast("Mapping[str, Any]", each) async for each in listing]

    async def defined(self, namespace: str) -> frozenset[str]:
        """Our kinds that are not known to be undefined: another fault says nothing of that."""
        return frozenset(
            [kind for kind in _KINDS if not isinstance(await self._glance(kind, namespace), NotFound)]
        )

    async def listable(self, kinds: Iterable[str], namespace: str) -> frozenset[str]:
        """Those of the kinds that can be listed now."""
        return frozenset([kind for kind in kinds if await self._glance(kind, namespace) is None])

    async def may_list(self, namespace: str) -> bool:
        """Whether our role allows it, as far as can be told."""
        for kind in _KINDS:
            if isinstance(fault := await self._glance(kind, namespace), KubeFault):
                return not isinstance(fault, Forbidden)
        return True

    async def _glance(self, kind: str, namespace: str) -> KubeFault | None:
        """Why it cannot be listed, if so."""
        try:
            async with _faults(f"look for {kind}"):
                async for _ in self._client.list(_KINDS[kind], namespace=namespace, chunk_size=1):
                    break
        except KubeFault as fault:
            return fault
        return None

    async def presence(self, namespace: str) -> Presence:
        """A namespace that may not be looked at counts as standing. Raises KubeFault."""
        try:
            async with _faults(f"read Namespace {namespace}"):
                found = await self._client.get(Namespace, namespace)
        except NotFound:
            return Presence.GONE
        except Forbidden:
            return Presence.STANDS
        leaves = found.metadata is not None and found.metadata.deletionTimestamp is not None
        return Presence.LEAVES if leaves else Presence.STANDS

    async def apply_status(self, identity: Identity, resource_version: str, status: Mapping[str, Any]) -> str:
        """Server-side apply of the whole status; returns the new resource version. Raises KubeFault: Conflict when the
        object has changed since it was seen, or is another one; Invalid when its kind has no room for what is said.
        """
        body = {
            "apiVersion": API_VERSION,
            "kind": identity.kind,
            "metadata": {
                "name": identity.name,
                "namespace": identity.namespace,
                "resourceVersion": resource_version,
            },
            "status": status,
        }
        async with _faults(f"write the status of {identity}", _WRITE_S):
            reply = await self._client.patch(
                _KINDS[identity.kind].Status,
                identity.name,
                body,
                namespace=identity.namespace,
                patch_type=PatchType.APPLY,
                field_manager=FIELD_MANAGER,
                force=True,
            )
        return str(cast("dict[str, Any]", reply)["metadata"]["resourceVersion"])

    async def set_finalizers(
        self, identity: Identity, resource_version: str, finalizers: Sequence[str]
    ) -> str:
        """Returns the new resource version. Raises KubeFault."""
        body = {"metadata": {"finalizers": list(finalizers), "resourceVersion": resource_version}}
        async with _faults(f"write the finalizers of {identity}", _WRITE_S):
            reply = await self._client.patch(
                _KINDS[identity.kind],
                identity.name,
                body,
                namespace=identity.namespace,
                patch_type=PatchType.MERGE,
                field_manager=FIELD_MANAGER,
            )
        return str(reply["metadata"]["resourceVersion"])

    async def emit(self, moment: Moment, at: str, reporter: str) -> None:
        """Tells it `at` a time in RFC 3339 with microseconds. Raises KubeFault."""
        identity = moment.identity
        event = Event(
            metadata=ObjectMeta(
                generateName=f"{identity.name[:200].rstrip('.-')}-", namespace=identity.namespace
            ),
            eventTime=cast("Any", at),
            action="Reconcile",
            reason=moment.reason,
            note=_within(moment.note, _MOST_NOTE_BYTES),
            type="Warning" if moment.warning else "Normal",
            regarding=ObjectReference(
                apiVersion=API_VERSION,
                kind=identity.kind,
                name=identity.name,
                namespace=identity.namespace,
                uid=moment.uid,
            ),
            reportingController="tollway.dev/operator",
            reportingInstance=reporter,
        )
        async with _faults(f"emit an event of {identity}"):
            await self._client.create(event)

    async def lease(self, namespace: str, name: str) -> StoredLease:
        """Raises KubeFault; NotFound among them."""
        async with _faults(f"read Lease {namespace}/{name}"):
            found = _stored_lease(await self._client.get(Lease, name, namespace=namespace))
        self._owner = found.owner or self._owner  # so that who waits knows of it as well
        return found

    async def write_lease(
        self, namespace: str, name: str, lease: StoredLease, acquired: str | None
    ) -> StoredLease:
        """Creates it where the lease given has no resource version, and replaces that version otherwise. Its owner is
        looked for when it is acquired alone, since a renewal should wait for nothing else; one that is known since is
        named then. Raises KubeFault; Conflict among them, also where that very Lease, by its uid, is not there any
        more: a replacement would make another.
        """
        version = lease.resource_version or None
        known = None if self._owners_stay else self._owner
        owner = (lease.owner or known) if acquired is None else await self.owner(namespace)
        body = Lease(
            metadata=ObjectMeta(
                name=name,
                namespace=namespace,
                uid=lease.uid or None,
                resourceVersion=version,
                ownerReferences=_references(owner),
            ),
            spec=LeaseSpec(
                holderIdentity=lease.holder,
                leaseDurationSeconds=lease.duration_s,
                leaseTransitions=lease.transitions,
                renewTime=cast("Any", lease.renewed),
                acquireTime=cast("Any", acquired),
            ),
        )
        async with _faults(f"write Lease {namespace}/{name}"):
            written = await (self._replaced(body) if version else self._client.create(body))
        return _stored_lease(written)

    async def pods(self, namespace: str, selector: Mapping[str, str]) -> tuple[list[DataPlanePod], str]:
        """The pods there are, and the version from which to watch. Raises KubeFault."""
        async with _faults("list the data plane's pods", _LIST_S):
            listing = self._client.list(Pod, namespace=namespace, labels=dict(selector))
            found = [_pod(pod) async for pod in listing]
            return found, str(listing.resourceVersion)

    async def watch_pods(
        self, namespace: str, selector: Mapping[str, str], since: str
    ) -> AsyncGenerator[DataPlanePod, None]:
        """Changes, without an end. Raises KubeFault."""
        changes = self._client.watch(
            Pod, namespace=namespace, labels=dict(selector), resource_version=since, server_timeout=_WATCH_S
        )
        try:
            async for event, pod in changes:
                yield _pod(pod, deleted=event == "DELETED")
        except (httpx2.HTTPError, OSError, ValueError) as exc:
            _raise("watch the data plane's pods", exc)


@asynccontextmanager
async def open_kube() -> AsyncIterator[Kube]:
    """From KUBECONFIG, or from the pod that this runs in. Raises KubeFault where there is neither."""
    try:
        # The API server is never behind the proxy that leads to the world.
        client = AsyncClient(
            KubeConfig.from_env().get(),
            trust_env=False,
            timeout=httpx2.Timeout(_WRITE_S),  # the longest of a single answer
            field_manager=FIELD_MANAGER,
        )
    except ConfigError as exc:
        raise KubeFault(f"no cluster: {exc}; set KUBECONFIG, or run in a pod") from exc
    try:
        yield Kube(client)
    finally:
        await client.close()


@asynccontextmanager
async def _faults(attempted: str, deadline_s: float = _DEADLINE_S) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except (httpx2.HTTPError, OSError, TimeoutError, ValueError) as exc:
        _raise(attempted, exc)


def _raise(attempted: str, exc: Exception) -> NoReturn:
    """The library's exceptions as ours."""
    if not isinstance(exc, httpx2.HTTPStatusError):
        raise Unanswered(f"could not {attempted}: {type(exc).__name__}") from exc
    # A watch fails with a status of its own, after a response that was fine.
    status = exc.status.code if isinstance(exc, ApiError) else exc.response.status_code
    # Where it says nothing of its own, the library would add where to read about HTTP.
    said = str(exc) if isinstance(exc, ApiError) else exc.response.reason_phrase
    message = f"the API server would not {attempted}: {status} {said}"
    match status:
        case 404:
            raise NotFound(message) from exc
        case 403:
            raise Forbidden(message) from exc
        case 409:
            raise Conflict(message) from exc
        case 400 | 422:
            raise Invalid(message) from exc
    response: httpx2.Response | None = getattr(exc, "response", None)
    wait = response.headers.get("retry-after", "") if response is not None else ""
    wait_s = min(float(wait), _LONGEST_WAIT_S) if wait.isdigit() else 0.0
    raise (Unanswered if status in _NO_TIME else KubeFault)(message, wait_s) from exc


def _within(text: str, most_bytes: int) -> str:
    """Cut where it is too long, between two characters."""
    return text.encode()[:most_bytes].decode(errors="ignore")


def _stored(secret: Secret) -> StoredSecret:
    data = {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}
    metadata = secret.metadata or ObjectMeta()
    version = str(metadata.resourceVersion) if secret.metadata else ""
    return StoredSecret(data, version, metadata.labels or {}, _owner_of(metadata))


def _references(owner: Owner | None) -> list[OwnerReference] | None:
    if owner is None:
        return None
    version, kind, name = _OWNER
    return [OwnerReference(apiVersion=version, kind=kind, name=name, uid=owner.uid)]


def _owner_of(metadata: ObjectMeta) -> Owner | None:
    references = metadata.ownerReferences or ()
    ours = (each for each in references if (each.apiVersion, each.kind, each.name) == _OWNER)
    return next((Owner(each.uid) for each in ours), None)


def _stored_lease(lease: Lease) -> StoredLease:
    spec, metadata = lease.spec or LeaseSpec(), lease.metadata or ObjectMeta()
    return StoredLease(
        holder=spec.holderIdentity or "",
        renewed=spec.renewTime.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if spec.renewTime else "",
        transitions=spec.leaseTransitions or 0,
        duration_s=spec.leaseDurationSeconds or 0,
        resource_version=str(metadata.resourceVersion or ""),
        owner=_owner_of(metadata),
        uid=metadata.uid or "",
    )


def _pod(pod: Pod, *, deleted: bool = False) -> DataPlanePod:
    metadata, status = pod.metadata or ObjectMeta(), pod.status or PodStatus()
    ended = status.phase in {"Succeeded", "Failed"}
    leaves = metadata.deletionTimestamp is not None
    says_ready = any(each.type == "Ready" and each.status == "True" for each in status.conditions or ())
    containers = status.containerStatuses or ()
    return DataPlanePod(
        uid=metadata.uid or "",
        name=metadata.name or "",
        address=status.podIP or "",
        ready=says_ready and not leaves,
        gone=deleted or ended,
        incarnation=",".join(f"{each.containerID}:{each.restartCount}" for each in containers),
    )
