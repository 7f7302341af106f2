"""Which addresses endpoints may have, by name and by address."""

from dataclasses import replace

import pytest
import yaml

from tests.dataplanes import Setup
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import parse_inventory
from tollway_api.problems import ProblemReason
from tollway_api.reach import OWN, OWN_NETWORKS, PUBLIC, Reach

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
]
LINK_LOCAL = ["169.254.0.1", "fe80::1", "fe80::1%eth0"]
UNSPECIFIED = ["0.0.0.0", "0.1.2.3", "::"]  # noqa: S104 - nothing listens
LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1"]
PRIVATE = ["10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12:3456::1"]
NOWHERE = ["224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "203.0.113.7", "2001:db8::1"]
IN_DISGUISE = [
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::"),
    *("64:ff9b:1::a9fe:a9fe", "::ffff:0:169.254.169.254", "fec0::1"),
    *("::127.0.0.1", "2002:a9fe:a9fe::", "::ffff:10.0.0.1"),
]
ON_THE_INTERNET = ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
GUARDED = [*METADATA, *LINK_LOCAL, *UNSPECIFIED, *LOOPBACK, *IN_DISGUISE[:-1], "168.63.129.16"]


@pytest.mark.parametrize(
    "address", [*METADATA, *LINK_LOCAL, *UNSPECIFIED, *LOOPBACK, *PRIVATE, *NOWHERE, *IN_DISGUISE]
)
def test_by_default_only_the_internet_is_asked(address: str) -> None:
    assert not PUBLIC.allows(address, "host.example.com")
    assert not PUBLIC.may_allow(address)
    assert PUBLIC.forbids(address)


@pytest.mark.parametrize("address", ON_THE_INTERNET)
def test_what_is_on_the_internet_needs_no_opening(address: str) -> None:
    assert PUBLIC.allows(address, "host.example.com")
    assert PUBLIC.may_allow(address)


@pytest.mark.parametrize("address", GUARDED)
def test_what_is_guarded_is_opened_by_no_host_and_no_network_that_is_wider(address: str) -> None:
    """A host's address may be chosen by somebody else."""
    wide = Reach.of(["0.0.0.0/0", "::/0", "100.64.0.0/10", "fc00::/7", "2002::/16", "host.example.com"])
    assert not wide.allows(address, "host.example.com")


@pytest.mark.parametrize(
    ("opened", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("::1/128", "::1"),
        ("169.254.169.254/32", "169.254.169.254"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3", "::ffff:10.1.2.3"),
        ("fd12:3456::/32", "fd12:3456::1"),
    ],
)
def test_a_network_opens_what_lies_in_it_and_nothing_else(opened: str, address: str) -> None:
    reach = Reach.of([opened])
    assert reach.allows(address)
    assert reach.may_allow(address)
    assert not reach.allows("192.168.7.7")
    assert not reach.allows("fd99::1")


@pytest.mark.parametrize("address", PRIVATE)
def test_a_host_opens_its_private_addresses_and_no_other_hosts(address: str) -> None:
    reach = Reach.of(["vLLM.models.svc", "*.inference.svc.cluster.local"])
    assert reach.allows(address, "vllm.models.svc")
    assert reach.allows(address, "VLLM.models.svc.")
    assert reach.allows(address, "a.inference.svc.cluster.local")
    for other in (
        "vllm.models.svc.cluster.local",
        "inference.svc.cluster.local",
        "xinference.svc.cluster.local",
        "",
    ):
        assert not reach.allows(address, other)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "vllm",
            "vllm.models.svc",
            "vllm.models.svc.cluster.local",
        ),
        *("metadata.google.internal", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
    ],
)
def test_what_is_surely_refused_is_known_by_its_name(host: str) -> None:
    assert not PUBLIC.may_allow(host)
    # With an open network, only the address tells.
    assert OWN.may_allow(host)


@pytest.mark.parametrize("host", ["api.openai.com", "vllm.example.com", "svc.example.com", "10.example.com"])
def test_of_other_names_only_the_address_tells(host: str) -> None:
    assert PUBLIC.may_allow(host)
    assert not PUBLIC.allows("10.0.0.1", host)


@pytest.mark.parametrize(
    "each", ["10.0.0.1/8", "not a host", "https://a.example.com", "*", "*.", "a..b", "a:80", "", "a/8"]
)
def test_what_is_neither_a_network_nor_a_host_is_said_so(each: str) -> None:
    with pytest.raises(ValueError, match="is neither a network nor a host; write it like"):
        Reach.of([each])


def test_what_is_opened_on_a_machine_of_ones_own_has_no_metadata_service_in_it() -> None:
    assert Reach.of(OWN_NETWORKS) == OWN
    assert all(OWN.allows(each) for each in (*LOOPBACK, *PRIVATE))
    assert not any(OWN.allows(each) for each in (*METADATA, *LINK_LOCAL, *UNSPECIFIED, *NOWHERE))


@pytest.mark.parametrize(
    "endpoint", ["http://169.254.169.254/v1", "http://vllm.models.svc/v1", "http://[::1]:80/v1"]
)
def test_an_object_with_such_an_endpoint_is_left_out_and_says_how_to_mend_it(endpoint: str) -> None:
    public = "https://api.example.com/v1"
    embedding = {"provider": "OpenAICompatible", "model": "m", "endpoint": endpoint}
    setup = Setup(public, endpoint, index={"embedding": embedding})
    spread = {"endpoints": [public, endpoint]}
    for each, fields in (
        (setup, {"spec.models[1].endpoint", "spec.embedding.endpoint"}),
        (
            replace(setup, rich=public, rich_model=spread),
            {"spec.models[1].endpoints[1]", "spec.embedding.endpoint"},
        ),
    ):
        inventory, _ = parse_inventory(list(yaml.safe_load_all(each.yaml())))
        made = compile_snapshot(inventory, bundled(), "default")
        found = [one for one in made.problems if one.reason is ProblemReason.FORBIDDEN_ENDPOINT]
        assert {one.field for one in found} == fields
        assert all("allowEndpoints" in one.message for one in found)
        assert made.snapshot.policies == ()
        assert made.snapshot.indexes == {}
        opened = compile_snapshot(
            inventory, bundled(), "default", reach=Reach.of(["169.254.169.254", "::1", "vllm.models.svc"])
        )
        assert opened.problems == ()
