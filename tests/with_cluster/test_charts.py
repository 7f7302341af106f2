"""What Helm does with an installation that is in use."""

from tests.charts import CHART
from tests.dataplanes import ACME_KEY
from tests.processes import wait_for
from tests.with_cluster.caller import BEGAN
from tests.with_cluster.test_lifecycle import report_of
from tests.with_cluster.tollway import OPERATOR, OPTIONS, URL, Tollway, lines


def test_helm_test_has_a_request_answered(tollway: Tollway) -> None:
    said = tollway.helm("test", "tollway")
    assert "Phase:          Succeeded" in said
    assert "answered (live): [provider/gpt-4o-mini]" in said


def test_an_upgrade_and_a_rollback_fail_no_request(tollway: Tollway) -> None:
    """Both planes get new pods by either."""
    new = ("--set", "dataplane.drainSeconds=61,operator.extraEnv[0].name=NEW,operator.extraEnv[0].value=x")
    for change in (("upgrade", "tollway", str(CHART), *OPTIONS, *new), ("rollback", "tollway")):
        before = tollway.names() | tollway.names(OPERATOR)
        with tollway.calling("load", URL, ACME_KEY) as load:
            said = lines(load, 300)
            assert next(said) == BEGAN
            tollway.helm(*change, "--wait")
            wait_for(lambda: before.isdisjoint(tollway.names(leaving=True)), "the old pods are gone", 90)  # noqa: B023 - it is called at once
            report = report_of(load, said)
        assert report["failed"] == []
        assert report["requests"] > 100
        assert before.isdisjoint(tollway.names(OPERATOR))
        tollway.until_ready()
