"""The operator and the data plane may do what they do, and nothing besides: their roles against the API server's
record of a whole life.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import redis

from tests.dataplanes import Setup, manifest
from tests.installation import NAMESPACE, Installation
from tests.processes import wait_for
from tests.with_apiserver.test_health import waits_s
from tollway_operator.deletion import FINALIZER

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
# A token of two lines is none, so that one is made.
UNSENDABLE = '{"data": {"token": "dHdvCmxpbmVz"}}'
ANY = "*"
LEAVES = "team-leaves"


def test_where_no_token_can_be_made_statuses_say_that_pods_cannot_be_asked(
    installation: Installation,
) -> None:
    unusable = {"metadata": {"name": "tollway-admin-token"}, "immutable": True, "data": {"token": ""}}
    made = installation.admin.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", json=unusable)
    assert made.is_success, made.text
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.objects())
        said = installation.until("RoutingPolicy", "chat", "Programmed", "DataPlaneUnknown")
        assert "cannot be asked without a token" in said["message"]
        installation.delete("Secret", "tollway-admin-token", NAMESPACE)
        installation.until_ready()


def test_an_index_that_may_not_be_held_is_not_made_and_says_why(installation: Installation) -> None:
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        client = stack.enter_context(redis.Redis("127.0.0.1", port=installation.cache.port))
        stack.callback(installation.prepare)
        installation.take(
            "clusterrole", lambda rule: rule["verbs"] == ["patch"] and len(rule["resources"]) == 1
        )
        operator = stack.enter_context(installation.operator())
        installation.apply(*SETUP.objects())
        said = installation.until("SemanticCacheIndex", "answers", "IndexReady", "NotHeld")
        assert "would not write the finalizers of SemanticCacheIndex default/answers: 403" in said["message"]
        # Who names it is served, without a cache, since pods would remember answers that nobody deletes.
        installation.until("RoutingPolicy", "chat", "Programmed", "Programmed")
        installation.until("RoutingPolicy", "chat", "ResolvedRefs", "UnknownReference")
        assert pod.live.current().snapshot.indexes == {}
        assert client.execute_command("FT._LIST") == []
        wait_for(lambda: waits_s(operator) == 0, "nothing else waits for it")
        installation.prepare()
        installation.until_ready()
        assert len(client.execute_command("FT._LIST")) == 1


def test_an_index_that_may_not_be_let_go_keeps_nothing_else_waiting_and_is_tried_again(
    installation: Installation,
) -> None:
    with ExitStack() as stack, installation.light_pod("dp-1") as pod:
        stack.callback(installation.prepare)
        operator = stack.enter_context(installation.operator())
        installation.apply(*SETUP.objects())
        installation.until_ready()
        installation.take(
            "clusterrole", lambda rule: rule["verbs"] == ["patch"] and len(rule["resources"]) == 1
        )
        installation.kubectl("delete", "sci", "answers", "--wait=false")
        wait_for(lambda: operator.logged("would not write the finalizers"), "it has been tried")
        before = pod.revision
        installation.apply(SETUP.but(policy={"priority": 7}).objects()[1])
        wait_for(lambda: pod.revision != before, "others are served")
        wait_for(lambda: waits_s(operator) == 0, "no run fails for it")
        installation.prepare()
        wait_for(lambda: not installation.get("SemanticCacheIndex", "answers"), "it is let go", 40)


@dataclass(frozen=True, order=True)
class Permission:
    """Of an account: what it may do, or did."""

    group: str
    resource: str  # with its subresource
    verb: str
    namespace: str
    name: str


def granted(installation: Installation, account: str) -> set[Permission]:
    """As the API server has it, from whatever is bound to the account."""
    found = set()
    for binding in bindings(installation, account):
        ref, within = binding["roleRef"], binding["metadata"].get("namespace", "")
        role = read(installation, f"namespaces/{within}/roles" if ref["kind"] == "Role" else "clusterroles")
        (rules,) = [each["rules"] for each in role if each["metadata"]["name"] == ref["name"]]
        for rule in rules:
            of = product(
                rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [ANY])
            )
            found |= {
                Permission(group, resource, verb, within or ANY, name) for group, resource, verb, name in of
            }
    return found


def bindings(installation: Installation, account: str) -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    bound = [*read(installation, "rolebindings"), *read(installation, "clusterrolebindings")]
    return [each for each in bound if subject in each.get("subjects", [])]


def read(installation: Installation, plural: str) -> list[dict[str, Any]]:
    reply = installation.admin.get(f"/apis/rbac.authorization.k8s.io/v1/{plural}").raise_for_status()
    return list(reply.json()["items"])


def used(installation: Installation, since: int, account: str) -> set[Permission]:
    """What Tollway names itself is meant by its name, and may be anything where users name it. A namespace is meant by
    its name where the account has a role in it, and may be any where it has none.
    """
    requests = installation.server.audited(since, account)
    refused = [each for each in requests if each.status in {401, 403}]
    # There it asks for what is left, as far as that is still allowed.
    unforeseen = [each for each in refused if each.namespace != LEAVES]
    assert not unforeseen, unforeseen
    within = {each["metadata"].get("namespace") for each in bindings(installation, account)}
    return {
        Permission(
            each.group,
            each.resource,
            each.verb,
            # A Namespace itself is in none.
            each.namespace if each.namespace in within and each.resource != "namespaces" else ANY,
            # Who creates something has not named it yet when it is asked whether that is allowed.
            each.name if each.name.startswith("tollway-") and each.verb != "create" else ANY,
        )
        for each in requests
        # Discovery is what everybody who is known may read.
        if each not in refused and not each.resource.startswith("/")
    }


@pytest.fixture(params=["every namespace", "listed namespaces"])
def settings(request: pytest.FixtureRequest, installation: Installation) -> Iterator[dict[str, str]]:
    """The operator's, with the roles that go with them."""
    if request.param == "every namespace":
        yield {}
        return
    with installation.listed_namespaces("default"), leaving_namespace(installation):
        # One is not made yet, and nothing is asked there that would be refused.
        yield {"watch_namespaces": f"default,{LEAVES},team-later"}


@contextmanager
def leaving_namespace(installation: Installation) -> Iterator[None]:
    """Its role is gone already, and what holds it is an index of which an operator has remembered answers."""
    installation.kubectl("create", "namespace", LEAVES)
    metadata = {"name": "left", "namespace": LEAVES, "finalizers": [FINALIZER]}
    installation.apply({**manifest("SemanticCacheIndex", "left", {}), "metadata": metadata})
    installation.kubectl("delete", "sci", "-n", LEAVES, "left", "--wait=false")
    installation.kubectl("delete", "namespace", LEAVES, "--wait=false")
    yield
    installation.kubectl("wait", "--for=delete", f"namespace/{LEAVES}", "--timeout=30s")


def test_roles_grant_what_is_used_and_no_more(
    installation: Installation, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = installation.server.audit_log
    since = log.stat().st_size if log.exists() else 0
    monkeypatch.setenv("FAULT_POINT", "parts")  # so that all of them are written and read
    with (
        installation.light_pod("dp-1") as pod,
        installation.operator("op-1", "tests.faulty_operator", **settings),
    ):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        installation.kubectl("patch", "secret", "-n", NAMESPACE, "tollway-admin-token", "-p", UNSENDABLE)
        for priority in (3, 4):
            installation.apply(*SETUP.but(policy={"priority": priority}).objects())
            installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.delete_and_wait("SemanticCacheIndex", "answers")
        wait_for(lambda: not pod.live.current().snapshot.indexes, "the index is gone")
        for account in ("tollway-operator", "tollway-dataplane"):
            may = granted(installation, account)
            with suppress(AssertionError):  # of which more is told below
                wait_for(lambda: used(installation, since, account) >= may, "all is used", 10)  # noqa: B023 - it is called at once
            did = used(installation, since, account)
            assert may
            assert sorted(may - did) == [], f"granted to {account} and not used"
            assert sorted(did - may) == [], f"used by {account} and not granted"
