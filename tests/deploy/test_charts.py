"""The charts, rendered by the real Helm: what they say is reviewed as golden files, of which those beside `production`
hold only what differs from it; `make generate` rewrites them. What they refuse, they refuse with a way out.
"""

import difflib
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import CHART, CHARTS, NAMESPACE, PRODUCTION, TRIAL, helm, objects, rendered, roles
from tollway_api import parts, wire
from tollway_dataplane.settings import EmbedServerSettings
from tollway_dataplane.settings import Settings as DataPlane
from tollway_operator.settings import Settings as Operator
from tools.cluster_tools import BuildError, find

GOLDEN = Path(__file__).parents[1] / "golden" / "charts"
VALUES = {path.name.removesuffix(".values.yaml"): path for path in sorted(GOLDEN.glob("*.values.yaml"))}
VALUES["trial"] = CHART / "values-trial.yaml"

try:
    find("helm")
except BuildError as unbuilt:
    if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
        raise
    pytest.skip(f"NO HELM, so nothing here was tested: {unbuilt}", allow_module_level=True)


# Alerts and dashboard, which are compared with their files instead.
BULK = re.compile(r"^(  groups:|  tollway.json: \|)\n.*?(?=^---$|\Z)", re.MULTILINE | re.DOTALL)


def rendered_of(name: str) -> str:
    return BULK.sub(r"\1\n    …\n", rendered("--values", str(VALUES[name])))


def refusal(*options: str) -> str:
    """What is said, in one line."""
    status, _, error = helm("template", "tollway", str(CHART), "--namespace", NAMESPACE, *options)
    assert status == 1
    return " ".join(error.split())


def one(text: str, kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects(text) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("name", VALUES)
def test_values_render_to_what_is_expected(name: str) -> None:
    found, expected = rendered_of(name), GOLDEN / f"{name}.out.yaml"
    if name != "production":
        expected = GOLDEN / f"{name}.diff"
        base = rendered_of("production").splitlines(keepends=True)
        # Without the numbers of lines, which change whenever something else does.
        lines = difflib.unified_diff(base, found.splitlines(keepends=True), "production", name, n=2)
        found = "".join("@@\n" if line.startswith("@@") else line for line in lines)
    if os.environ.get("TOLLWAY_REWRITE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", VALUES)
def test_the_same_values_render_to_the_same_bytes(name: str) -> None:
    options = ("-f", str(VALUES[name]))
    again = helm("template", "tollway", str(CHART), "-n", NAMESPACE, *options)
    assert again[1] == rendered(*options)


def test_nothing_is_looked_up_or_drawn() -> None:
    """Since Argo CD renders without a cluster, and compares."""
    for template in CHARTS.rglob("templates/**/*"):
        if template.is_file():
            text = template.read_text(encoding="utf-8")
            code = " ".join(re.findall(r"\{\{.*?\}\}", text, flags=re.DOTALL))
            assert re.findall(r"\b(lookup|rand\w+|uuidv4|now|gen[A-Z]\w+|Capabilities)\b", code) == []


@pytest.mark.parametrize(
    ("chart", "options"), [("tollway", PRODUCTION), ("tollway", TRIAL), ("tollway-crds", ())]
)
def test_helm_has_nothing_to_complain_of(chart: str, options: tuple[str, ...]) -> None:
    status, said, error = helm("lint", "--strict", str(CHARTS / chart), *options)
    assert status == 0, said + error
    assert "[WARNING]" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "kubectl create secret generic tollway-redis -n tollway-system"),
        ((), "redis.existingSecret=tollway-redis"),
        ((), "-f values-trial.yaml"),
        ((*PRODUCTION, *TRIAL), "redis.trial.enabled brings its own Redis, and redis.existingSecret names"),
        ((*PRODUCTION, "--set", "dataplane.replica=3"), "additional properties 'replica' not allowed"),
        ((*PRODUCTION, "--set", "replicas=3"), "additional properties 'replicas' not allowed"),
        ((*PRODUCTION, "--set-string", "operator.replicas=two"), "at '/operator/replicas': got string, want"),
        ((*PRODUCTION, "--set", "dataplane.autoscaling.enabled=perhaps"), "got string, want boolean"),
        ((*PRODUCTION, "--set", "imagePullPolicy=Sometimes"), "'Always', 'IfNotPresent', 'Never'"),
        ((*PRODUCTION, "--set", "operator.image.digest=latest"), "at '/operator/image/digest'"),
        ((*PRODUCTION, "--set", "operator.watchNamespaces={Team}"), "at '/operator/watchNamespaces/0'"),
        ((*PRODUCTION, "--set", "dataplane.autoscaling.minReplicas=20"), "is 20, which is above maxReplicas"),
        (
            (*PRODUCTION, "--set", "embedding.autoscaling.minReplicas=20"),
            "embedding.autoscaling.minReplicas is",
        ),
        ((*PRODUCTION, "--set", "embedding.enable=true"), "additional properties 'enable' not allowed"),
        ((*PRODUCTION, "--set", "networkPolicy.monitoring=null"), "missing property 'monitoring'"),
        ((*PRODUCTION, "--set", "dataplane.autoscaling=null"), "missing property 'autoscaling'"),
        ((*PRODUCTION, "--set", "dataplane.resources.limits.memory=foo"), "does not match pattern"),
        (
            (*PRODUCTION, "--set", "dataplane.resources.requests.cpu=null"),
            "in dataplane.resources.requests.cpu",
        ),
        (
            (*PRODUCTION, "--set", "dataplane.extraEnv[0].name=OTEL_EXPORTER_OTLP_ENDPOINT"),
            "at '/dataplane/extraEnv/0/name'",
        ),
        (
            (*PRODUCTION, "--set", "dataplane.extraEnv[0].name=TOLLWAY_DRAIN_S"),
            "at '/dataplane/extraEnv/0/name'",
        ),
        (
            (*PRODUCTION, "--set", "prometheusRule.runbookBaseUrl=docs/"),
            "at '/prometheusRule/runbookBaseUrl'",
        ),
        ((*PRODUCTION, "--set", "podLabels.app\\.kubernetes\\.io/component=x"), "/podLabels"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(options: tuple[str, ...], said: str) -> None:
    assert said in refusal(*options)


def test_the_schema_knows_what_values_say_and_nothing_else() -> None:
    """What it does not know it refuses, so what is looked for is what nobody reading the values would find."""

    def keys(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
        schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        properties = schema.get("properties", {})
        return {name: keys(each, definitions) for name, each in properties.items() if each is not False}

    def shape(values: Any, like: dict[str, Any]) -> dict[str, Any]:
        return {name: shape(values[name], below) for name, below in like.items() if name in values}

    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    known = keys(schema, schema["definitions"])
    del known["global"]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert shape(values, known) == known


def test_what_the_chart_sets_itself_is_not_set_beside_it() -> None:
    """A variable twice would be refused by server-side apply."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    reserved = set(schema["definitions"]["env"]["items"]["properties"]["name"]["not"]["enum"])
    everything = [
        *("--values", str(GOLDEN / "in-flight.values.yaml"), "--set", "operator.watchNamespaces={x}"),
        *("--set", "adminTls.existingSecret=certificates"),
    ]
    embedding = ("--set", "embedding.enabled=true,embedding.apiKeysSecret=keys")
    planes = {"operator": Operator, "dataplane": DataPlane, "embedding": EmbedServerSettings}
    for name, settings in planes.items():
        deployment = one(rendered(*everything, *embedding), "Deployment", f"tollway-{name}")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        names = {each["name"] for each in container["env"]}
        assert names <= reserved
        known = {f"TOLLWAY_{each.name.upper()}" for each in fields(settings)}
        assert {each for each in names if each.startswith("TOLLWAY_")} <= known


def test_names_that_yaml_takes_for_something_else_stay_names() -> None:
    odd = (
        "redis.existingSecret=123",
        "operator.watchNamespaces={123,true}",
        "admission.budgetWriters={a: b}",
    )
    text = rendered(*(part for each in odd for part in ("--set-string", each)))
    spaces = {each["metadata"].get("namespace", NAMESPACE) for each in objects(text)}
    assert spaces == {NAMESPACE, "123", "true"}
    policy = one(text, "ValidatingAdmissionPolicy", f"tollway-budget-writers-{NAMESPACE}")
    assert policy["spec"]["validations"][0]["message"] == "TenantBudgets are written by a: b alone."
    spec = one(text, "Deployment", "tollway-operator")["spec"]["template"]["spec"]
    assert {"name": "redis", "secret": {"secretName": "123"}} in spec["volumes"]


def test_the_embedding_service_is_there_where_it_is_wanted_and_connects_to_nobody() -> None:
    assert "tollway-embedding" not in rendered(*PRODUCTION)
    wanted = rendered(*PRODUCTION, "--set", "embedding.enabled=true")
    kinds = [each["kind"] for each in objects(wanted) if each["metadata"]["name"] == "tollway-embedding"]
    everything = ["Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    assert sorted(kinds) == everything
    assert "replicas" not in one(wanted, "Deployment", "tollway-embedding")["spec"]
    policy = one(wanted, "NetworkPolicy", "tollway-embedding")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    fixed = rendered(
        *PRODUCTION,
        "--set",
        "embedding.enabled=true,embedding.autoscaling.enabled=false",
    )
    kinds = [each["kind"] for each in objects(fixed) if each["metadata"]["name"] == "tollway-embedding"]
    assert sorted(kinds) == [each for each in everything if each != "HorizontalPodAutoscaler"]


def test_roles_and_mounts_name_every_secret_of_a_snapshot() -> None:
    numbers = range(1, parts.MOST_PARTS)
    others = {f"{wire.SNAPSHOT_SECRET}-{parts.overflow_name(s, n)}" for s in parts.SLOTS for n in numbers}
    wanted = {wire.SNAPSHOT_SECRET, *others}
    for name, more in (("operator", {wire.ADMIN_TOKEN_SECRET}), ("dataplane", set[str]())):
        (role,) = [
            each
            for each in roles()
            if (each["kind"], each["metadata"]["name"]) == ("Role", f"tollway-{name}")
        ]
        named = [
            rule["resourceNames"]
            for rule in role["rules"]
            if rule["resources"] == ["secrets"] and "get" in rule["verbs"]
        ]
        assert [set(each) for each in named] == [wanted | more]
    pod = one(rendered(*PRODUCTION), "Deployment", "tollway-dataplane")["spec"]["template"]["spec"]
    (mounted,) = [each["projected"]["sources"] for each in pod["volumes"] if each["name"] == "snapshot"]
    assert {each["secret"]["name"] for each in mounted} == wanted


def test_where_namespaces_are_listed_no_more_than_indexes_and_namespaces_are_the_clusters() -> None:
    """What a Role that has gone before an index would keep the operator from letting go."""
    listed = objects(rendered_of("listed-namespaces"))
    rules = [rule for each in listed if each["kind"] == "ClusterRole" for rule in each["rules"]]
    assert [(rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in rules] == [
        ([""], ["namespaces"], ["get"]),
        (["tollway.dev"], ["semanticcacheindexes"], ["list", "patch"]),
    ]


def test_the_admin_port_is_reached_by_the_operator_and_monitoring_alone() -> None:
    """Where the cluster enforces it."""
    policy = one(rendered(*PRODUCTION), "NetworkPolicy", "tollway-dataplane")["spec"]
    (admin,) = [rule for rule in policy["ingress"] if rule["ports"] == [{"port": "admin"}]]
    assert [
        each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in admin["from"][:1]
    ] == ["operator"]
    assert [each["namespaceSelector"]["matchLabels"] for each in admin["from"][1:]] == [
        {"kubernetes.io/metadata.name": "monitoring"}
    ]
    others = [each["ports"] for each in policy["ingress"] if each is not admin]
    assert others == [[{"port": "http"}]], "and by no rule for all ports"


def test_alerts_and_dashboard_are_what_is_in_the_files() -> None:
    """Byte for byte, since both are full of what Helm would take for its own; a runbook becomes a link."""
    everything = rendered("--values", str(VALUES["monitored"]))
    files = CHART / "files"
    dashboard = one(everything, "ConfigMap", "tollway-dashboard")
    written = (files / "dashboard.json").read_text(encoding="utf-8")
    assert dashboard["data"] == {"tollway.json": written}
    rules = (files / "rules.yaml").read_text(encoding="utf-8")
    linked = rules.replace("runbook_url: docs/", "runbook_url: https://example.com/tollway/docs/")
    assert linked.count("https://") == rules.count("alert: ") - 2, "two alerts share the pages of two others"
    assert one(everything, "PrometheusRule", "tollway")["spec"] == yaml.safe_load(linked)
    unlinked = rendered(*PRODUCTION, "--set", "prometheusRule.enabled=true")
    assert one(unlinked, "PrometheusRule", "tollway")["spec"] == yaml.safe_load(rules)


def test_the_chart_never_says_how_many_data_planes_there_are() -> None:
    """What it does not say it cannot take back, whoever scales and whenever that is exchanged for another."""
    scaled_by_others = rendered(*PRODUCTION, "--set", "dataplane.autoscaling.enabled=false")
    assert "HorizontalPodAutoscaler" not in scaled_by_others
    for text in (rendered(*PRODUCTION), scaled_by_others, rendered(*TRIAL)):
        assert "replicas" not in one(text, "Deployment", "tollway-dataplane")["spec"]


def test_a_pod_has_time_for_its_sleep_and_its_requests() -> None:
    options = ("--set", "dataplane.preStopSeconds=20,dataplane.drainSeconds=300")
    pod = one(rendered(*PRODUCTION, *options), "Deployment", "tollway-dataplane")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 330
    (container,) = pod["containers"]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 20}}}
    assert {"name": "TOLLWAY_DRAIN_S", "value": "300"} in container["env"]


def test_another_version_of_the_chart_restarts_no_pod(tmp_path: Path) -> None:
    (tmp_path / "tollway").mkdir()
    for path in CHART.rglob("*"):
        target = tmp_path / "tollway" / path.relative_to(CHART)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8")
            target.write_text(
                re.sub(r"^version: .*", "version: 9.9.9", text, flags=re.MULTILINE), encoding="utf-8"
            )
    later = rendered(*PRODUCTION, chart=tmp_path / "tollway")
    assert "tollway-9.9.9" in later
    for name in ("tollway-operator", "tollway-dataplane"):
        template = one(later, "Deployment", name)["spec"]["template"]
        assert template == one(rendered(*PRODUCTION), "Deployment", name)["spec"]["template"]


def test_the_kinds_of_the_chart_are_those_that_kubectl_applies_and_are_kept() -> None:
    plain = [
        yaml.safe_load(path.read_text("utf-8")) for path in sorted((CHARTS.parent / "crds").glob("*.yaml"))
    ]
    charted = objects(rendered(chart=CHARTS / "tollway-crds"))
    for each in charted:
        assert each["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert sorted(charted, key=lambda each: str(each["metadata"]["name"])) == plain
