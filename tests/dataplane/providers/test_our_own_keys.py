"""Whatever provider a policy names: what this process's environment holds goes to no server of the policy's."""

import gc
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.dataplane.providers.openai_wire import Azure
from tests.dataplane.providers.wire import Server, serving
from tollway_api.catalog import bundled
from tollway_api.policy_checks import OPENAI_COMPATIBLE
from tollway_api.reach import OWN
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream
from tollway_dataplane.errors import TollwayError

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
FOUND = "key-of-the-environment"
# What a policy is refused (tests/golden/providers.in.yaml); who has a person log in by a browser; and whom LiteLLM asks
# at an address of its own, whatever the endpoint.
REFUSED = re.compile(r"vertex_ai|sagemaker$|gigachat$|watsonx$")
BY_HAND = {"chatgpt", "github_copilot", "microsoft_365_copilot"}
ELSEWHERE = {"nlp_cloud", "replicate"}
PROVIDERS = sorted(
    each
    for each in bundled().providers - {*OPENAI_COMPATIBLE, *BY_HAND, *ELSEWHERE}
    if not REFUSED.match(each)
)
NAME = re.compile(r"\"([A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|JWT|CREDENTIALS)(?:_BEDROCK)?)\"")


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Of all variables in which LiteLLM looks for a key."""
    found = find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    sources = Path(found.origin).parent.joinpath("llms").rglob("*.py")
    return {name for source in sources for name in NAME.findall(source.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Azure()) as server:
        yield server


# LiteLLM drops clients of some without closing them.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.long
async def test_no_provider_sends_a_key_of_our_own_environment_to_a_server_that_a_policy_names(
    server: Server, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write a policy names the provider as well as the server, so the least known one counts."""
    assert {"OPENAI_API_KEY", "AZURE_AD_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "WATSONX_TOKEN"} <= names
    for name in names:
        monkeypatch.setenv(name, FOUND)
    upstream = LiteLLMUpstream(OWN)
    await upstream.load()
    asked, told = set[str](), set[str]()
    for provider in PROVIDERS:
        server.reset()
        with suppress(TollwayError):  # the server speaks the format of one of them alone
            await upstream.complete(server.call(api_key=None, upstream_id=f"{provider}/mine"))
        seen = str([(each.headers, each.path, each.body) for each in server.seen])
        asked |= {provider} if server.seen else set()
        told |= {provider} if FOUND in seen or b64encode(FOUND.encode()).decode()[:20] in seen else set()
    import_module("litellm").in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # while it is known whose they are
    assert told == set()
    assert len(asked) > 50
