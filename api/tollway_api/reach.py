"""Which addresses an endpoint may have: what stands against a policy, an index or a Secret that has us ask machines
that are not meant for its author, such as a cloud's metadata service or the API server (server-side request forgery,
CWE-918). What is public may be asked; of all else, what whoever runs the installation names. Looked at twice: when an
endpoint is compiled, as far as its name tells, and of the address itself when it is connected to, since a name may come
to mean another one. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Opened by a network within them alone: by no wider one, and by no host, whose address somebody else may choose.
_GUARDED: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this machine, on Linux
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, where most clouds tell a machine its credentials
            "::/96",  # unspecified, loopback, and what was once another way to write IPv4
            "fe80::/10",
            "fec0::/10",  # what was once a site's own
            # IPv4 behind a translator of the network's own, in a form that only it can tell (RFC 8215, RFC 7915).
            *("64:ff9b:1::/48", "::ffff:0:0:0/96"),
            # The same of AWS, Google, Alibaba, Oracle and Azure, elsewhere.
            *("fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.0/24", "168.63.129.16/32"),
        ),
    )
)
_NAT64: Final = ip_network("64:ff9b::/96")
# Names that are nobody's on the internet: of this machine, of a cluster's Services, and of networks (RFC 6761, 6762,
# and ICANN's .internal).
_INTERNAL: Final = frozenset({"localhost", "svc", "local", "internal"})

# For whoever runs Tollway on a machine of their own, by files that they write themselves.
OWN_NETWORKS: Final = (
    *("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Beyond what is public: these networks, and whatever these hosts are, of which `*.NAME` is all below it."""

    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, opened: Iterable[str]) -> "Reach":
        """Raises ValueError, which says how to write one."""
        networks: list[Network] = []
        hosts: list[str] = []
        for each in opened:
            host = each.lower()
            try:
                networks.append(ip_network(host))
            except ValueError:
                if "/" in host or not _is_name(host.removeprefix("*.")):
                    raise ValueError(
                        f"{each!r} is neither a network nor a host; write it like 10.20.0.0/16, vllm.models.svc or "
                        "*.models.svc.cluster.local"
                    ) from None
                hosts.append(host)
        return cls(tuple(networks), tuple(hosts))

    def allows(self, address: str, host: str = "") -> bool:
        """Whether an address may be connected to, which the host was found to have. Raises ValueError if it is none."""
        meant = _meant(ip_address(address))
        if guard := next((each for each in _GUARDED if meant in each), None):
            return any(meant in each and _lies_in(each, guard) for each in self.networks)
        if meant.is_global and not meant.is_multicast:
            return True
        return self._names(host) or any(meant in each for each in self.networks)

    def forbids(self, host: str) -> bool:
        """Of a host that is an address itself, and so is connected to without being looked up."""
        try:
            return not self.allows(host)
        except ValueError:
            return False

    def may_allow(self, host: str) -> bool:
        """The same of a host that has not been looked up: False where it will surely be refused."""
        try:
            return self.allows(host)
        except ValueError:
            # With a network that is open, only the address tells.
            return bool(self.networks) or self._names(host) or not _is_internal(_plain(host))

    def _names(self, host: str) -> bool:
        plain = _plain(host)
        return any(plain.endswith(each[1:]) if each[0] == "*" else plain == each for each in self.hosts)


PUBLIC: Final = Reach()  # and nothing else
OWN: Final = Reach.of(OWN_NETWORKS)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels)


def _lies_in(network: Network, guard: Network) -> bool:
    return network.network_address in guard and network.broadcast_address in guard


def _meant(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_internal(name: str) -> bool:
    """One label is looked for in the pod's own namespace; what ends in a number is an address, written oddly."""
    *before, last = name.split(".")
    return not before or last in _INTERNAL or last.isdigit() or last.startswith("0x")
