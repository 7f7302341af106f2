"""The admin port of data-plane pods, as the operator asks something there."""

from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tollway_api.messages import headers
from tollway_operator.reports import DataPlanePod
from tollway_tls.certificates import NAME, Certificates

_DEADLINE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AdminPort:
    """Encrypted where there are certificates: then whoever cannot show one of ours is told nothing, and no token."""

    session: aiohttp.ClientSession
    number: int
    certificates: Certificates | None = None

    def post(self, pod: DataPlanePod, path: str, token: str, body: bytes) -> Any:
        """A context manager of the response. Raises what aiohttp does, OSError and TimeoutError."""
        known = self.certificates
        scheme = "http" if known is None else "https"
        return self.session.post(
            f"{scheme}://{_bracketed(pod.address)}:{self.number}{path}",
            data=body,
            headers=headers(token),
            timeout=aiohttp.ClientTimeout(_DEADLINE_S),
            allow_redirects=False,
            ssl=True if known is None else known.context,
            server_hostname=None if known is None else NAME,
        )


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
