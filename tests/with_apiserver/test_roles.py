"""The operator and the data plane may do what they do, and nothing besides: their roles against the API server's
record of a whole life.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import yaml

from tests.dataplanes import Setup
from tests.installation import MANIFESTS, NAMESPACE, Installation
from tests.processes import wait_for
from tests.with_apiserver.test_health import waits_s

SETUP = Setup("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")
# A token of two lines is none, so that one is made.
UNSENDABLE = '{"data": {"token": "dHdvCmxpbmVz"}}'
Permission = tuple[str, str, str]  # API group, resource with its subresource, verb


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
        installation.kubectl("delete", "secret", "-n", NAMESPACE, "tollway-admin-token")
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


def granted(account: str, *files: str) -> set[Permission]:
    found = set()
    for document in (
        each for file in files for each in yaml.safe_load_all((MANIFESTS / file).read_text("utf-8"))
    ):
        if document["kind"] in {"Role", "ClusterRole"} and document["metadata"]["name"].startswith(account):
            found |= set(_permissions(document["rules"]))
    return found


def _permissions(rules: list[dict[str, Any]]) -> Iterator[Permission]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def used(installation: Installation, since: int, account: str) -> set[Permission]:
    requests = installation.server.audited(since, account)
    refused = [each for each in requests if each.status in {401, 403}]
    assert not refused, refused
    # Discovery, which everybody who is known may read, is about no resource.
    return {(each.group, each.resource, each.verb) for each in requests if not each.resource.startswith("/")}


@pytest.fixture(params=["every namespace", "listed namespaces"])
def watching(
    request: pytest.FixtureRequest, installation: Installation
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """The files that grant it, and the operator's settings."""
    if request.param == "every namespace":
        yield ("rbac-cluster.yaml",), {}
        return
    namespaces = ("default", NAMESPACE)
    with installation.listed_namespaces(*namespaces):
        # One of them is not made yet, and nothing is asked there that would be refused.
        yield (
            ("rbac-namespace.yaml", "rbac-listed.yaml"),
            {"watch_namespaces": ",".join((*namespaces, "team-later"))},
        )


def test_roles_grant_what_is_used_and_no_more(
    installation: Installation, watching: tuple[tuple[str, ...], dict[str, str]]
) -> None:
    files, settings = watching
    log = installation.server.audit_log
    since = log.stat().st_size if log.exists() else 0
    with installation.light_pod("dp-1") as pod, installation.operator(**settings):
        installation.apply(*SETUP.objects())
        installation.until_ready()
        installation.kubectl("patch", "secret", "-n", NAMESPACE, "tollway-admin-token", "-p", UNSENDABLE)
        installation.apply(*SETUP.but(policy={"priority": 3}).objects())
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
        installation.kubectl("delete", "sci", "answers", "--timeout=30s")
        wait_for(lambda: not pod.live.current().snapshot.indexes, "the index is gone")
    for account in ("tollway-operator", "tollway-dataplane"):
        may, did = granted(account, "rbac.yaml", *files), used(installation, since, account)
        assert may
        assert may - did == set(), "granted and not used"
        assert did - may == set(), "used and not granted"
