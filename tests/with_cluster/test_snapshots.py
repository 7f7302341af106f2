"""A change on its way to every pod: by notification, by what is mounted, and with nobody there to send it."""

import json

from tests.processes import wait_for
from tests.with_cluster.tollway import NAMESPACE, OPERATOR, SETUP, TEAM, Tollway
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


def test_keys_are_exchanged_without_a_restart(tollway: Tollway) -> None:
    pods, key = tollway.names(), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme"}}
    tollway.kubectl.apply({**key, "stringData": {"api-key": "exchanged"}}, namespace=TEAM)
    wait_for(
        lambda: tollway.ask("What is a fen?", key="exchanged")["status"] == 200, "the new key is known", 90
    )
    wait_for(lambda: tollway.ask("What is a fen?")["status"] == 401, "the old key is forgotten", 30)
    tollway.apply(SETUP)
    wait_for(lambda: tollway.ask("What is a fen?")["status"] == 200, "it is known again", 90)
    assert tollway.names() == pods


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
