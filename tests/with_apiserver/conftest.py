"""One API server for the folder; each test has a namespace of its own."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.apiserver import ApiServer, api_server, server_side_apply
from tests.installation import Installation, prepare
from tests.processes import wait_for
from tests.witness import Witness, witnessing
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator.kube import Kube, open_kube
from tools.cluster_tools import BuildError, find

CRDS = Path(__file__).parents[2] / "deploy" / "crds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Given to the processes one at a time, tests keep all of them busy to the end in this order: those that wait for
    long, those that work, and those that need no installation, which are short.
    """
    items.sort(
        key=lambda item: (item.get_closest_marker("long") is None, "installation" not in item.fixturenames)  # type: ignore[attr-defined]  # of a function
    )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Skipped, loudly, where its binaries cannot be built; in CI that is a failure."""
    try:
        binaries = find("apiserver", "helm")
    except BuildError as error:
        if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
            raise
        pytest.skip(f"NO KUBERNETES API SERVER, so nothing here was tested: {error}")
    with api_server(tmp_path_factory.mktemp("apiserver"), binaries) as server:
        yield server


@pytest.fixture(scope="session")
def admin(cluster: ApiServer) -> Iterator[httpx.Client]:
    """A client of the API that may do everything, with our kinds known, and Tollway's namespace and roles."""
    with cluster.client() as client:
        apply_definitions(client)
        prepare(client)
        yield client


def apply_definitions(client: httpx.Client) -> None:
    """Our kinds, and waits until they can be used."""
    for path in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        url = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
        server_side_apply(client, url, definition, "tests")
        listed = f"/apis/tollway.dev/v1alpha1/{definition['spec']['names']['plural']}"
        wait_for(lambda url=listed: client.get(url).is_success, f"{listed} is served")  # type: ignore[misc]  # mypy does not type a lambda with a default


@pytest.fixture(scope="session")
def witness(cluster: ApiServer, request: pytest.FixtureRequest) -> Iterator[Witness]:
    """Sees what becomes of our kinds in all tests."""
    request.getfixturevalue("admin")  # so that the kinds are known
    with witnessing(cluster) as witness:
        yield witness


@pytest.fixture
def installation(
    cluster: ApiServer,
    admin: httpx.Client,
    witness: Witness,
    tmp_path: Path,
    cache_redis: EmbeddedRedis,
    ledger_redis: EmbeddedRedis,
) -> Iterator[Installation]:
    """With nothing running yet. Whatever the test is about, what holds always is looked at in the end."""
    installation = Installation(cluster, admin, tmp_path, cache_redis, ledger_redis)
    witness.begin()
    try:
        yield installation
        for served, digest in installation.served:
            # Compiling anew is not free, so it is done again only where the witness may not have seen everything yet.
            if why := witness.not_compiled(served, digest):
                wait_for(
                    lambda served=served, digest=digest: not witness.not_compiled(served, digest),  # type: ignore[misc]  # mypy does not type a lambda with a default
                    f"what a pod ran was compiled from accepted objects: {why}",
                    5,
                )
        assert witness.broken() == []
    finally:
        installation.clear()


@pytest.fixture
async def kube(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    """The operator's door, with its own rights."""
    token = installation.token("tollway-operator")
    monkeypatch.setenv("KUBECONFIG", str(installation.server.kubeconfig("publisher", token)))
    async with open_kube() as opened:
        yield opened
