"""What Helm does with an installation that is in use."""

import shutil
from pathlib import Path

from tests.charts import CHART, CHARTS
from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.tollway import (
    NAMESPACE,
    OPERATOR,
    OPTIONS,
    SETUP,
    TEAM,
    URL,
    Tollway,
    Upgrade,
    lines,
    report_of,
)

_OTHER_OPERATOR = "operator.extraEnv[0].name=NEW,operator.extraEnv[0].value="


def test_an_upgrade_from_an_earlier_chart_fails_no_request_and_forgets_nothing(
    tollway: Tollway, upgrade: Upgrade
) -> None:
    assert upgrade.report["failed"] == []
    assert upgrade.report["requests"] > 50
    assert (upgrade.before["x-tollway-source"], upgrade.after["x-tollway-source"]) == ("live", "exact")
    wait_for(
        lambda: "ownerReferences" in tollway.kubectl.get("secret", "tollway-snapshot", NAMESPACE)["metadata"],
        "what an earlier chart's operator wrote has an owner",
        60,
    )


def test_helm_test_has_a_request_answered(tollway: Tollway) -> None:
    said = tollway.helm("test", "tollway")
    assert "Phase:          Succeeded" in said
    assert "answered (live): [provider/gpt-4o-mini]" in said


def test_kinds_and_operators_are_upgraded_and_no_data_plane_notices(tollway: Tollway, tmp_path: Path) -> None:
    kinds = tmp_path / "tollway-crds"
    shutil.copytree(CHARTS / "tollway-crds", kinds)
    policies = kinds / "templates" / "routingpolicies.yaml"
    text = policies.read_text(encoding="utf-8")
    field = " " * 14 + "priority:\n"
    assert text.count(field) == 1
    new = field.replace("priority", "novelty") + " " * 16 + "type: string\n"
    policies.write_text(text.replace(field, new + field), encoding="utf-8")

    lives, operators = tollway.lives(), tollway.names(OPERATOR)
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load, 300)
        assert next(said) == BEGAN
        tollway.helm("upgrade", "tollway-crds", str(kinds))
        # The API server tells of a kind's new fields a moment after it has them.
        wait_for(lambda: "novelty" in tollway.kubectl("explain", "routingpolicy.spec"), "the field is known")
        tollway.helm("upgrade", "tollway", str(CHART), *OPTIONS, "--set", f"{_OTHER_OPERATOR}x", "--wait")
        tollway.apply(SETUP.but(policy={"priority": 4}))
        tollway.kubectl.until("RoutingPolicy", "chat", "Programmed", "Programmed", TEAM, seconds=90)
        report = report_of(load, said)
    assert report["failed"] == []
    assert len(report["revisions"]) == 2, "before the edit and after"
    assert operators.isdisjoint(tollway.names(OPERATOR))
    assert tollway.lives() == lives
    tollway.helm("rollback", "tollway-crds")
    tollway.apply(SETUP)
    tollway.until_ready()


def test_an_upgrade_and_a_rollback_fail_no_request(tollway: Tollway) -> None:
    """Both planes get new pods by either, and neither takes back what somebody else scaled to."""
    new = ("--set", f"dataplane.drainSeconds=61,{_OTHER_OPERATOR}y")
    with tollway.calling("load", URL, ACME_KEY) as load:
        said = lines(load, 300)
        assert next(said) == BEGAN
        for change in (("upgrade", "tollway", str(CHART), *OPTIONS, *new), ("rollback", "tollway")):
            before = tollway.names() | tollway.names(OPERATOR)
            tollway.helm(*change, "--wait")
            wait_for(lambda: before.isdisjoint(tollway.names(leaving=True)), "the old pods are gone", 90)  # noqa: B023 - it is called at once
            assert before.isdisjoint(tollway.names(OPERATOR))
            assert len(tollway.names()) == 2
        report = report_of(load, said)
    assert report["failed"] == []
    assert report["requests"] > 50
    tollway.until_ready()
