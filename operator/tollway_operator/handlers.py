"""kopf's handlers, and nothing else: they take what the watches bring into `Objects` and wake the loop. Low-level
handlers only, so that kopf itself writes nothing to anybody's objects; and no index of kopf's, which lets nothing
through before it is full, and takes time with the square of the objects to fill: 25 s for 1,500 of them, where
`watches` knows after 3 s that everything has come.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import kopf
from kopf._cogs.clients.errors import APINotFoundError  # neither has a public name
from kopf._cogs.structs.references import Insights, NamespaceName

from tollway_api.crds import DEFINITIONS
from tollway_api.meta import GROUP, VERSION
from tollway_operator.namespaces import Namespaces
from tollway_operator.objects import News, Objects
from tollway_operator.tasks import until_first_ends

log = logging.getLogger(__name__)

_KINDS = frozenset(each.kind for each in DEFINITIONS)
_LOOK_AGAIN_S = 1.0
_REQUEST_S = 30.0
_CONNECT_S = 5.0
_WATCH_S = 300
_PAGE = 500
_IDLE_S = 0.5  # how long kopf keeps a task and a body for an object of which nothing more comes


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told: of news, of news beside what is wanted, and that something came from a list and not from a watch, or
    that other kinds are watched.
    """

    on_change: Callable[[], None]
    on_change_beside: Callable[[], None]
    on_listed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Definitions:
    """Which kinds the API server knows."""

    known: Callable[[str], Awaitable[frozenset[str]]]  # in a namespace, as far as can be told
    listable: Callable[[Iterable[str], str], Awaitable[frozenset[str]]]  # of these kinds, in a namespace


async def watch_kinds(
    objects: Objects,
    watchers: Watchers,
    namespaces: Namespaces,
    identity: str,
    definitions: Definitions,
    ready: asyncio.Event,
) -> None:
    """Runs for the life of the process. `ready` is set whenever it has begun."""
    while True:
        watched = await namespaces.other_than(())
        kinds = await definitions.known(watched[0])
        if missing := sorted(_KINDS - kinds):
            log.warning("not defined; kubectl apply --server-side -f deploy/crds", extra={"kinds": missing})
        if not kinds:
            await asyncio.sleep(_LOOK_AGAIN_S)
            continue
        # With what is defined it begins all the same, so that what is deleted of that is heard of and let go. Then it
        # begins anew.
        insights = Insights()
        again = asyncio.create_task(until_overlooked(definitions, namespaces, insights, watchers.on_listed))
        follower = asyncio.create_task(_follow(namespaces, insights))
        try:
            roots = await kopf.spawn_tasks(
                # Otherwise it asks for the user's name, and in a container the user has none.
                identity=cast("Any", identity),
                registry=_handlers(objects, watchers, kinds),
                settings=_settings(namespaced=bool(namespaces.listed)),
                clusterwide=not namespaces.listed,
                namespaces=watched if namespaces.listed else (),
                standalone=True,
                ready_flag=ready,
                insights=insights,
            )
            # Not kopf's own, which ends every task of the process that was begun after it, and waits for one that has
            # missed it for as long as that takes.
            await until_first_ends([*roots, again], _kopfs)
        except APINotFoundError:
            # A kind was removed, and kopf began its watch anew before it had heard of that, or could not hear.
            log.warning("a kind is gone; watching begins anew")
        else:
            if again.cancelled():
                return
        finally:
            follower.cancel()
            again.cancel()


async def until_overlooked(
    definitions: Definitions, namespaces: Namespaces, insights: Insights, on_change: Callable[[], None]
) -> None:
    """Ends once there is a kind that kopf does not watch, which it would go on not to do: of listed namespaces it looks
    for the kinds once, and of all namespaces it overlooks one that is not served yet when its definition comes, also
    where that was gone for a moment only. `on_change` is told of what kopf begins and ends to watch.
    """
    watched: frozenset[str] = frozenset()
    await insights.ready_resources.wait()
    while True:
        before, watched = watched, frozenset(each.kind for each in insights.watched_resources if each.kind)
        if watched != before:
            on_change()
        # In any namespace that may be looked at; while there is none, there is none of which kopf could overlook it.
        for namespace in namespaces.watchable[:1] if watched < _KINDS else ():
            if await definitions.listable(_KINDS - watched, namespace):
                return
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _follow(namespaces: Namespaces, insights: Insights) -> None:
    """Has kopf watch the listed namespaces as they come and go, as it would do itself if it might list and watch all
    that there are.
    """
    await insights.ready_namespaces.wait()  # until then kopf writes there
    while namespaces.listed:
        watched = namespaces.watchable
        async with insights.revised:
            insights.namespaces.clear()
            insights.namespaces.update(NamespaceName(each) for each in watched)
            insights.revised.notify_all()
        await namespaces.other_than(watched)


def _kopfs() -> set[asyncio.Task[Any]]:
    """The tasks that run kopf's code."""
    folder = str(Path(kopf.__file__).parent)
    return {task for task in asyncio.all_tasks() if _file(task).startswith(folder)}


def _file(task: asyncio.Task[Any]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code else ""


def _handlers(objects: Objects, watchers: Watchers, kinds: Collection[str]) -> kopf.OperatorRegistry:
    """The handlers of the kinds, in a registry of their own."""
    registry = kopf.OperatorRegistry()
    for definition in DEFINITIONS:
        if definition.kind not in kinds:
            continue

        # Not a plain function, which kopf would run in a thread: what this tells lives on the event loop.
        @kopf.on.event(
            GROUP, VERSION, definition.plural, id=f"changed-{definition.plural}", registry=registry
        )
        async def changed(event: Mapping[str, Any], body: Mapping[str, Any], **_: object) -> None:
            if event["type"] == "DELETED":
                objects.drop(body)
                watchers.on_change()
            else:
                match objects.put(body):
                    case News.WANTED:
                        watchers.on_change()
                    case News.BESIDE:
                        watchers.on_change_beside()
            if event["type"] is None:
                watchers.on_listed()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    return registry


class _Backoffs:
    """Seconds between kopf's attempts at a request: short, so that it is soon back when the API server is, and without
    an end, at which it would end as a whole.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 1.0, 2.0), itertools.repeat(3.0))


def _settings(*, namespaced: bool) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # Events are our own, on transitions
    # Otherwise kopf kills the process ten minutes after its watching has ended, although that has begun anew.
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = _REQUEST_S
    settings.networking.connect_timeout = _CONNECT_S
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.server_timeout = _WATCH_S
    settings.watching.chunk_size = _PAGE
    settings.queueing.idle_timeout = _IDLE_S
    settings.scanning.disabled = namespaced
    settings.peering.standalone = True
    return settings
