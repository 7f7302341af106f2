"""The commands' manners: help, exit statuses, and one sentence for a user's mistake."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run, run_alone

EXAMPLES = Path(__file__).parents[2] / "examples"
BAD = """apiVersion: tollway.dev/v1alpha1
kind: RoutingPolicy
metadata: {name: chat}
spec:
  models:
    - {name: cheap, model: gpt-4o-mni}
"""


@pytest.mark.parametrize(
    "arguments",
    [[], ["serve"], ["validate"], ["compare"], ["route"], ["fit-router"], ["simulate"], ["budget", "show"]],
    ids="-".join,
)
def test_every_command_explains_itself(arguments: list[str]) -> None:
    done = run("tollway_cli", *arguments, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 400


@pytest.mark.parametrize("module", ["tollway_operator", "tollway_dataplane"])
def test_so_do_the_planes(module: str) -> None:
    done = run_alone(module, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 400


def test_the_examples_are_valid() -> None:
    done = run("tollway_cli", "validate", str(EXAMPLES))
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 errors, 0 warnings" in done.stdout


def test_to_validate_loads_neither_a_server_nor_a_client() -> None:
    """It runs before every commit, where it is hooked in."""
    code = (
        "import sys; sys.argv = ['tollway', 'validate', sys.argv[1]]\n"
        "from tollway_cli.__main__ import app\n"
        "app(standalone_mode=False)\n"
        "unwanted = {'aiohttp', 'redis', 'lightkube', 'kopf', 'starlette', 'uvicorn', 'numpy', 'litellm'}\n"
        "sys.exit(sorted(unwanted & sys.modules.keys()) or 0)"
    )
    command = [sys.executable, "-c", code, str(EXAMPLES)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own code


def test_compare_says_whether_an_answer_would_be_served_and_why() -> None:
    served = run("tollway_cli", "compare", "How do I reset my password?", "how can I reset my password")
    assert (served.returncode, served.stderr) == (0, "")
    assert "served" in served.stdout
    refused = run("tollway_cli", "compare", "Give me 3 recipes", "Give me five recipes")
    assert refused.returncode == 1
    assert "NumbersDiffer" in refused.stdout
    assert "numbers differ: 3 ≠ five" in refused.stdout


def test_route_says_which_model_and_why(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    models = "models: [{name: cheap, model: gpt-4o-mini}, {name: rich, model: gpt-4o}]"
    dial = "route: {complexity: {classifier: Embedding}, simpleShare: 50%}"
    head = "apiVersion: tollway.dev/v1alpha1\nkind: RoutingPolicy\nmetadata: {name: chat}\n"
    file.write_text(f"{head}spec:\n  {models}\n  {dial}\n")
    said = run("tollway_cli", "route", str(file), "--explain", "What is a fjord?")
    assert (said.returncode, said.stderr) == (0, "")
    for told in ("cheap", "Simple", "probability 0.", "of simple share 0.5", "what"):
        assert told in said.stdout
    assert re.search(r"│ words +│ 4 +│", said.stdout), "and not its logarithm"
    unknown = run("tollway_cli", "route", str(file), "--explain", "Hi", "--policy", "default/chats")
    assert unknown.returncode == 2
    assert "there are: default/chat" in unknown.stderr


@pytest.mark.parametrize("policy", [True, False])
def test_route_looks_for_the_policy_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, policy: bool
) -> None:
    if policy:
        head = "apiVersion: tollway.dev/v1alpha1\nkind: RoutingPolicy\nmetadata: {name: chat}\n"
        (tmp_path / "policy.yaml").write_text(f"{head}spec: {{models: [{{name: own, model: gpt-4o}}]}}\n")
    monkeypatch.chdir(tmp_path)
    said = run("tollway_cli", "route", "--explain", "What is a fjord?")
    assert said.returncode == (0 if policy else 2)
    assert ("default/chat" in said.stdout) if policy else ("there is no RoutingPolicy" in said.stderr)


def test_route_says_from_where_on_each_of_several_models_answers(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    models = "\n".join(
        f"    - {{name: {name}, model: openai/own, endpoint: 'http://a/v1', quality: '{quality}',"
        f" pricing: {{input: '{price}', output: '{price}'}}}}"
        for name, price, quality in (("small", 1, "0.5"), ("middle", 2, "0.7"), ("large", 6, "0.8"))
    )
    head = "apiVersion: tollway.dev/v1alpha1\nkind: RoutingPolicy\nmetadata: {name: chat}\n"
    dial = "route: {complexity: {classifier: Embedding}, quality: 95%}"
    file.write_text(f"{head}spec:\n  {dial}\n  models:\n{models}\n", encoding="utf-8")
    said = run("tollway_cli", "route", str(file), "--explain", "What is a fjord?")
    assert (said.returncode, said.stderr) == (0, "")
    for part in ("small from", "middle from", "large below", "the shipped model"):
        assert part in said.stdout
    weights = "{classifier: Embedding, weights: w1.0123456789ab.AAAA}"
    other = file.read_text(encoding="utf-8").replace("{classifier: Embedding}", weights)
    file.write_text(other, encoding="utf-8")
    said = run("tollway_cli", "route", str(file), "--explain", "What is a fjord?")
    assert "own weights are not of this version" in said.stdout


def test_compare_says_what_speaks_against_a_chat() -> None:
    one, other = (
        json.dumps(
            [
                {"role": "user", "content": f"We owe {amount} euros"},
                {"role": "assistant", "content": "Noted."},
                {"role": "user", "content": "What is that per month?"},
            ]
        )
        for amount in (300, 900)
    )
    refused = run("tollway_cli", "compare", one, other)
    assert refused.returncode == 1
    assert "ConversationDiffers" in refused.stdout
    assert "earlier turns differ: 300 ≠ 900" in refused.stdout
    assert run("tollway_cli", "compare", one, one).returncode == 0
    assert (
        "messages[0].content" in run("tollway_cli", "compare", '[{"role": "user", "content": 1}]', one).stderr
    )


def test_validate_shows_a_table_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    # Wide enough for the path of any checkout.
    done = run("tollway_cli", "validate", str(tmp_path), env={"COLUMNS": "500"})
    assert done.returncode == 1
    for words in ("Error", "RoutingPolicy", "bad.yaml:6", "spec.models[0].model", "gpt-4o-mini"):
        assert words in done.stdout


def test_validate_and_serve_are_told_where_endpoints_may_be(tmp_path: Path) -> None:
    done = run("tollway_cli", "validate", str(EXAMPLES), "--allow-endpoints", "vllm.models.svc")
    assert done.returncode == 1
    assert "ForbiddenEndpoint" in done.stdout
    for command in (
        ["validate", str(EXAMPLES)],
        ["serve", "--manifests", str(EXAMPLES), "--data-dir", str(tmp_path)],
    ):
        wrong = run("tollway_cli", *command, "--allow-endpoints", "10.0.0.1/8")
        assert wrong.returncode == 2
        assert "--allow-endpoints: '10.0.0.1/8' is neither a network nor a host" in wrong.stderr


def test_a_cache_index_that_is_in_no_file_is_a_mistake(tmp_path: Path) -> None:
    known = BAD.replace("mni", "mini")
    (tmp_path / "typo.yaml").write_text(
        f"{known}  cache: {{indexRef: {{name: anwsers}}}}\n", encoding="utf-8"
    )
    done = run("tollway_cli", "validate", str(tmp_path), "--output", "json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["severity"], problem["reason"], problem["line"]) == ("Error", "UnknownReference", 7)


def test_validate_speaks_json_to_programs(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD, encoding="utf-8")
    done = run("tollway_cli", "validate", str(file), "--output", "json")
    report = json.loads(done.stdout)
    assert (report["errors"], report["warnings"], report["accepted"]["policies"]) == (1, 0, 0)
    assert report["problems"][0] == {
        "severity": "Error",
        "reason": "UnknownModel",
        "kind": "RoutingPolicy",
        "namespace": "default",
        "name": "chat",
        "field": "spec.models[0].model",
        "file": str(file),
        "line": 6,
        "message": report["problems"][0]["message"],
    }


def test_markup_in_a_manifest_is_shown_as_it_is(tmp_path: Path) -> None:
    text = BAD.replace("gpt-4o-mni", "gpt-4o, timeout: '[/x] [red]oops'")
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    done = run("tollway_cli", "validate", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "[/x] [red]oops" in done.stdout


def test_the_version_is_told() -> None:
    assert run_alone("tollway_cli", "--version").stdout.startswith("tollway 0.")


def test_validate_tells_an_unreadable_file_from_a_wrong_object(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    assert run("tollway_cli", "validate", str(tmp_path)).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--manifests", "/nowhere"], "no such file or folder"),
        (["serve", "--manifests", str(EXAMPLES), "--listen", "here"], "is not an address"),
        (["serve", "--manifests", str(EXAMPLES), "--data-dir", "/proc/nope"], "--data-dir /proc/nope"),
        (["serve", "--manifests", str(EXAMPLES), "--log", "/nowhere/x.log"], "--log /nowhere/x.log"),
        (["serve", "--manifests", str(EXAMPLES), "--redis", "localhost:6379"], "--redis: not the URL"),
        (
            ["serve", "--manifests", str(EXAMPLES), "--redis", "redis://127.0.0.1:abc/0"],
            "--redis: not the URL",
        ),
        (["simulate", "--latency", "slow"], "is not a latency"),
        (["simulate", "--latency", "lognormal:200ms,nan"], "is not a latency"),
        (["simulate", "--latency", "uniform:400ms,100ms"], "is not a latency"),
        (["simulate", "--fault", "explode"], "is not a fault"),
        (["simulate", "--listen", "127.0.0.1:1"], None),
        (["validate", "--output", "xml", "x"], "xml"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_never_a_traceback(
    tmp_path: Path, arguments: list[str], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if words is None:
        arguments, words = ["simulate", "--listen", "192.0.2.1:1"], "cannot listen"
    done = run("tollway_cli", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_environment_is_said_by_name() -> None:
    done = run("tollway_dataplane", env={"TOLLWAY_CACHE_REDIS_URL": ""})
    assert done.returncode == 1
    assert "TOLLWAY_CACHE_REDIS_URL is not set" in done.stderr
    done = run("tollway_dataplane", env={"TOLLWAY_CACHE_REDIS_URL": "redis://x", "TOLLWAY_LISTEN": "nowhere"})
    assert "TOLLWAY_LISTEN" in done.stderr


def test_validate_does_not_show_what_may_be_a_secret(tmp_path: Path) -> None:
    text = BAD.replace(
        "model: gpt-4o-mni",
        "model: gpt-4o, endpoint: 'https://me:pa/secret-1@x/v1?k=secret-4', credentialsRef: {name: Secret-2_x}",
    )
    text += """---
apiVersion: tollway.dev/v1alpha1
kind: TenantBudget
metadata: {name: acme}
spec: {apiKeys: [secret-3]}
"""
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    done = run("tollway_cli", "validate", str(tmp_path), "--output", "json")
    assert len(json.loads(done.stdout)["problems"]) == 3
    assert "secret-" not in done.stdout + done.stderr


def test_a_drain_without_end_is_refused() -> None:
    done = run("tollway_cli", "serve", "--manifests", str(EXAMPLES), "--drain", "inf")
    assert done.returncode == 2
    assert "--drain" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_no_encoding_has_is_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD.replace("name: chat", r'name: "a\ud83d"'), encoding="utf-8")
    for more in ([], ["--output", "json"]):
        done = run("tollway_cli", "validate", str(tmp_path), *more)
        assert (done.returncode, done.stderr) == (1, "")
        assert r"a\ud83d" in done.stdout


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "--output", "json"]], ids="-".join)
def test_a_full_disk_is_a_sentence(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "tollway_cli", *arguments, str(EXAMPLES)]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    message = "tollway: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, message)
