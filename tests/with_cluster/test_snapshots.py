"""A change on its way to every pod: by notification, by what is mounted, and with nobody there to send it."""

import json
from base64 import b64decode
from typing import Any

from tests.dataplanes import ACME_KEY, secret
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.tollway import (
    CALLERS,
    NAMESPACE,
    OPERATOR,
    SETUP,
    TEAM,
    URL,
    Tollway,
    lines,
    report_of,
)
from tollway_api import wire


def revision(tollway: Tollway) -> str:
    return str(tollway.kubectl.get("routingpolicy", "chat", TEAM)["status"]["dataPlane"]["revision"])


def test_an_edit_is_run_by_every_pod_before_it_is_called_programmed(tollway: Tollway) -> None:
    before = revision(tollway)
    tollway.apply(SETUP.but(policy={"priority": 5}))
    tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM)
    after = revision(tollway)
    assert after != before
    assert tollway.revisions() == {after}
    assert tollway.ask("What is a moor?")["x-tollway-revision"] == after
    tollway.apply(SETUP)
    tollway.until_ready()


def test_what_is_mounted_is_renewed(tollway: Tollway) -> None:
    """So that a pod that restarts does not begin with the past."""
    tollway.apply(SETUP.but(policy={"priority": 6}))
    tollway.until_ready()
    wanted, look = revision(tollway), ("cat", "/etc/tollway/snapshot/head")
    for name in tollway.names():

        def mounted(pod: str = name) -> bool:
            return wanted in tollway.kubectl("exec", "-n", NAMESPACE, pod, "--", *look)

        wait_for(mounted, f"{name} sees {wanted}", 120)
    tollway.apply(SETUP)
    tollway.until_ready()


def test_a_pod_born_while_nobody_operates_serves_what_was_published(tollway: Tollway) -> None:
    before = revision(tollway)
    tollway.scale("tollway-operator", 0)
    try:
        tollway.scale("tollway-dataplane", 3)
        assert tollway.revisions() == {before}
        (born,) = [pod for pod in tollway.pods() if pod["metadata"]["name"] == newest(tollway)]
        reply = tollway.ask("What is a heath?", url=f"http://{born['status']['podIP']}:8080")
        assert (reply["status"], reply["x-tollway-revision"]) == (200, before)
    finally:
        tollway.scale("tollway-operator", 2)
    tollway.apply(SETUP.but(policy={"priority": 7}))
    tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM, seconds=90)
    status = tollway.kubectl.get("routingpolicy", "chat", TEAM)["status"]["dataPlane"]
    assert (status["acknowledged"], status["ready"]) == (3, 3)
    tollway.scale("tollway-dataplane", 2)
    tollway.apply(SETUP)
    tollway.until_ready()


def newest(tollway: Tollway) -> str:
    pods = sorted(tollway.pods(), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return str(pods[-1]["metadata"]["name"])


def test_keys_of_callers_and_of_providers_are_exchanged_under_load_without_a_restart(
    tollway: Tollway,
) -> None:
    """A tenant's second key, and what a provider is sent; both while it goes on calling with the first."""
    lives = tollway.lives()
    keys = [{"secretRef": {"name": "acme"}}, {"secretRef": {"name": "second"}}]
    header = {"name": "x-provider-key", "secretRef": {"name": "provider"}}
    tollway.apply(
        SETUP.but(
            acme={"apiKeys": keys},
            cheap_model={"extraHeaders": [header]},
            others=(secret("provider", "before"), secret("second", "before")),
        )
    )
    tollway.until_ready()
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load)
        assert next(said) == BEGAN
        wait_for(lambda: _keys_seen(tollway) == {"before"}, "the provider is sent its key", 30)
        assert tollway.ask("What is a fen?", key="before")["status"] == 200
        tollway.kubectl.apply(secret("provider", "after"), secret("second", "after"), namespace=TEAM)
        wait_for(
            lambda: tollway.ask("What is a fen?", key="after")["status"] == 200, "the new key is known", 90
        )
        wait_for(
            lambda: tollway.ask("What is a fen?", key="before")["status"] == 401, "the old is forgotten", 30
        )
        wait_for(lambda: _keys_seen(tollway) == {"after"}, "so is the provider's", 30)
        report = report_of(load, said)
    assert report["failed"] == []
    assert tollway.lives() == lives
    tollway.apply(SETUP)
    tollway.until_ready()
    tollway.kubectl("delete", "secret", "provider", "second", "-n", TEAM)


def _keys_seen(tollway: Tollway) -> set[str]:
    """By the provider, since it was asked last."""
    ask = (
        "import json, httpx; c = httpx.Client(base_url='http://provider:9101/control'); "
        "r = c.get('/requests').json(); c.delete('/requests'); print(json.dumps(r))"
    )
    shown = tollway.kubectl("exec", "-n", CALLERS, "deploy/caller", "--", "python", "-c", ask)
    return {each["headers"].get("x-provider-key", "") for each in json.loads(shown.splitlines()[-1])["last"]}


def test_the_admin_token_is_exchanged_under_load_without_a_restart(tollway: Tollway) -> None:
    """A second, and when every pod has that, not the first any more."""
    lives, new = tollway.lives(), "exchanged-token"
    name = (wire.ADMIN_TOKEN_SECRET, "-n", NAMESPACE)
    (old,) = tollway.kubectl.get("secret", wire.ADMIN_TOKEN_SECRET, NAMESPACE)["data"].values()

    def change(patch: dict[str, Any]) -> None:
        tollway.kubectl("patch", "secret", *name, "--patch", json.dumps(patch))

    def statuses(token: str) -> set[str]:
        """What data planes answer to who says to be their operator: 401, or that they do not understand."""
        return {_told(tollway, pod["status"]["podIP"], token) for pod in tollway.pods()}

    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load, 200)
        assert next(said) == BEGAN
        assert statuses(new) == {"401"}
        change({"stringData": {"next": new}})
        wait_for(lambda: "401" not in statuses(new), "pods know the new token", 90)
        change({"data": {"token": None}})
        wait_for(lambda: statuses(b64decode(old).decode()) == {"401"}, "and the old one no more", 90)
        tollway.apply(SETUP.but(policy={"priority": 3}))
        tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM)
        report = report_of(load, said)
    assert report["failed"] == []
    assert len(report["revisions"]) == 2
    assert tollway.lives() == lives
    tollway.apply(SETUP)
    tollway.until_ready()


def _told(tollway: Tollway, address: str, token: str) -> str:
    post = (
        "import sys, httpx; h = {'authorization': f'Bearer {sys.argv[2]}'}; "
        "print(httpx.post(sys.argv[1], headers=h, json={}).status_code)"
    )
    url = f"http://{address}:8081/snapshot"
    return tollway.kubectl(
        "exec", "-n", CALLERS, "deploy/caller", "--", "python", "-c", post, url, token
    ).split()[-1]


def test_a_leader_that_is_lost_is_succeeded(tollway: Tollway) -> None:
    leader = tollway.kubectl.get("lease", "tollway-operator", NAMESPACE)["spec"]["holderIdentity"]
    tollway.kubectl("delete", "pod", "-n", NAMESPACE, leader, "--grace-period=0", "--force")
    tollway.apply(SETUP.but(policy={"priority": 8}))
    tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM, seconds=60)
    lease = tollway.kubectl.get("lease", "tollway-operator", NAMESPACE)["spec"]
    assert lease["holderIdentity"] != leader
    tollway.rolled_out("tollway-operator")
    assert len(tollway.names(OPERATOR)) == 2
    tollway.apply(SETUP)
    tollway.until_ready()


def test_a_deleted_index_leaves_nothing_in_redis(tollway: Tollway) -> None:
    tollway.ask("What is a brook?")
    module = "import json, sys, redis; r = redis.Redis(sys.argv[1]); "
    look = (
        module + "print(json.dumps([each.decode() for each in r.keys('*') + r.execute_command('FT._LIST')]))"
    )
    ours = (f"{TEAM}.answers.", f"{{{wire.index_tag(f'{TEAM}/answers')}")

    def found() -> list[str]:
        """Whatever there is of the index."""
        shown = tollway.kubectl(
            "exec", "-n", NAMESPACE, "deploy/tollway-operator", "--", "python", "-c", look, "tollway-cache"
        )
        return [each for each in json.loads(shown.splitlines()[-1]) if any(part in each for part in ours)]

    def kinds() -> set[str]:
        return {each.split(":")[2] for each in found()}

    wait_for(lambda: kinds() >= {"index", "entry", "vector"}, "it remembers", 10)
    tollway.kubectl("delete", "sci", "answers", "-n", TEAM, "--timeout=60s")
    assert found() == []
    tollway.apply(SETUP)
    tollway.until_ready()
