"""What a policy adds to every request to a model: headers, fields of the body, keys, where it is."""

import re
from collections.abc import Iterator

import pytest

from tests.dataplane.providers.bedrock_wire import Bedrock
from tests.dataplane.providers.openai_wire import Azure
from tests.dataplane.providers.wire import KEY, Server, serving
from tests.dataplane.providers.wires import streamed
from tollway_api.catalog import bundled
from tollway_api.reach import OWN
from tollway_api.snapshot import Aws, ExtraHeader
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Upstream

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
ACCOUNT = Aws("eu-central-1", "AKIDEXAMPLE", "a-secret-access-key", "", "amazon")
HEADERS = (ExtraHeader("x-team", "search"), ExtraHeader("x-gateway-key", "another-key", "gateway/api-key"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_extra_headers_go_with_every_request(upstream: Upstream, server: Server, stream: bool) -> None:
    call = server.call(extra_headers=HEADERS)
    await (streamed(upstream, call) if stream else upstream.complete(call))
    (seen,) = server.seen
    assert {seen.headers["x-team"], seen.headers["x-gateway-key"]} == {"search", "another-key"}
    assert server.wire.key_in(seen.headers) == KEY


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_extra_fields_go_with_every_request_instead_of_a_callers(
    upstream: Upstream, server: Server, stream: bool
) -> None:
    """Under the name they are given, and what is known of the request as the provider calls it."""
    call = server.call({"top_p": 0.5, "safety": "theirs"}, extra_body={"safety": {"level": 3}, "top_p": 0.25})
    await (streamed(upstream, call) if stream else upstream.complete(call))
    (seen,) = server.seen
    # Converse has a place for them.
    assert seen.body.get("additionalModelRequestFields", seen.body)["safety"] == {"level": 3}
    found = str(seen.body)
    assert "theirs" not in found
    assert re.findall(r"'(?:top_p|topP)': ([0-9.]+)", found) == ["0.25"]
    assert " 90" in found, "the bound on the answer stands"


@pytest.fixture
async def litellm() -> LiteLLMUpstream:
    upstream = LiteLLMUpstream(OWN)
    await upstream.load()
    return upstream


@pytest.fixture(scope="module")
def bedrock() -> Iterator[Server]:
    with serving(Bedrock()) as server:
        yield server


@pytest.mark.parametrize("token", ["", "a-session-token"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_request_to_aws_is_signed(
    litellm: LiteLLMUpstream, bedrock: Server, token: str, stream: bool
) -> None:
    bedrock.reset()
    aws = Aws("eu-central-1", "AKIDEXAMPLE", "a-secret-access-key", token, "amazon")
    call = bedrock.call(api_key=None, aws=aws, extra_headers=HEADERS)
    await (streamed(litellm, call) if stream else litellm.complete(call))
    (seen,) = bedrock.seen
    signed = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/eu-central-1/bedrock/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}",
        seen.headers["authorization"],
    )
    assert signed is not None
    assert {"host", "x-amz-date"} <= set(signed[1].split(";"))
    assert seen.headers.get("x-amz-security-token", "") == token
    assert seen.headers["x-team"] == "search"
    assert "a-secret-access-key" not in str(seen)


@pytest.fixture(scope="module")
def azure() -> Iterator[Server]:
    with serving(Azure(version="2024-10-21")) as server:
        yield server


async def test_azures_version_is_the_policys(litellm: LiteLLMUpstream, azure: Server) -> None:
    azure.reset()
    await litellm.complete(azure.call(api_version="2024-10-21"))
    (seen,) = azure.seen
    assert seen.path.endswith("?api-version=2024-10-21")


async def test_a_key_may_be_in_a_header_of_any_name(
    upstream: Upstream, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of where the provider expects it, as behind another gateway."""
    if server.wire.name == "Amazon Bedrock":
        pytest.skip("whose requests are signed")
    for name in ("AZURE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    key = ExtraHeader("ocp-apim-subscription-key", KEY, "gateway/api-key")
    await upstream.complete(server.call(api_key=None, extra_headers=(key,)))
    (seen,) = server.seen
    assert [name for name, value in seen.headers.items() if KEY in value] == ["ocp-apim-subscription-key"]


async def test_no_key_of_our_own_environment_goes_to_a_server_that_a_policy_names(
    upstream: Upstream, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write a policy could have it sent to a server of their own."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "key-of-the-environment")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key-of-the-environment")
    for provider in ("AZURE", "OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE", "MISTRAL", "OLLAMA", "AZURE_OPENAI"):
        monkeypatch.setenv(f"{provider}_API_KEY", "key-of-the-environment")
    aws = ACCOUNT if server.wire.name == "Amazon Bedrock" else None
    await upstream.complete(server.call(api_key=None, aws=aws))
    (seen,) = server.seen
    assert "key-of-the-environment" not in f"{seen.headers}{seen.path}{seen.body}"


@pytest.mark.parametrize("name", ["aws_role_name", "api_base", "mock_response", "fallbacks"])
async def test_no_extra_field_is_an_argument_of_litellm(
    litellm: LiteLLMUpstream, bedrock: Server, name: str
) -> None:
    bedrock.reset()
    with pytest.raises(UpstreamFault, match=f"cannot be given extraBody's {name}"):
        await litellm.complete(bedrock.call(extra_body={name: "x"}))
    assert not bedrock.seen
    assert name in bundled().arguments or name.startswith("aws_"), "so that its policy is not even accepted"
