"""Mutual TLS at the data planes' admin port: one folder, a mounted Secret as cert-manager makes it, has a certificate,
its key and the authority that vouches for the other side's. Both planes show such a certificate, and both look for one
name in it: pods are called by addresses, which no certificate names, and the authority may vouch for others as well.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tollway_api.environment import SettingsError

NAME: Final = "tollway-admin"  # the DNS name in every certificate of ours
_CERTIFICATE: Final = "tls.crt"
_KEY: Final = "tls.key"
_AUTHORITY: Final = "ca.crt"


class Certificates:
    """Read again when the files have changed, so that they are renewed without a restart. While they cannot be read, or
    do not belong together, those before are used, and `unreadable` hears why, once.
    """

    def __init__(
        self, folder: Path, new: Callable[[], ssl.SSLContext], unreadable: Callable[[str], None]
    ) -> None:
        """Raises SettingsError where there are none to begin with."""
        self._files = [folder / name for name in (_CERTIFICATE, _KEY, _AUTHORITY)]
        self._new = new
        self._unreadable = unreadable
        self._fault = ""
        try:
            self._changed_at = self._times()
            self._context = self._read()
        except OSError as exc:
            raise SettingsError(f"TOLLWAY_ADMIN_TLS_DIR is {str(folder)!r}: {_why(exc)}") from exc

    @property
    def context(self) -> ssl.SSLContext:
        """For a connection that begins now."""
        try:
            # Before they are read: what changes meanwhile is read again the next time.
            changed_at = self._times()
            if changed_at != self._changed_at:
                self._context = self._read()
                self._changed_at, self._fault = changed_at, ""
        except OSError as exc:
            before, self._fault = self._fault, _why(exc)
            if self._fault != before:
                self._unreadable(self._fault)
        return self._context

    def _times(self) -> list[int]:
        return [each.stat().st_mtime_ns for each in self._files]

    def _read(self) -> ssl.SSLContext:
        certificate, key, authority = self._files
        context = self._new()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
        return context


def _why(exc: OSError) -> str:
    """Without anything of the files. ssl's own errors are OSErrors as well."""
    return f"{_CERTIFICATE}, {_KEY} or {_AUTHORITY}: {getattr(exc, 'reason', None) or exc.strerror}"


def client_certificates(folder: Path | None, unreadable: Callable[[str], None]) -> Certificates | None:
    """For who calls: trusts that authority alone, and wants the name. None where nothing is encrypted. Raises
    SettingsError.
    """
    return Certificates(folder, _for_who_calls, unreadable) if folder else None


def server_context(folder: Path | None, unreadable: Callable[[str], None]) -> ssl.SSLContext | None:
    """For who is called: whoever shows a certificate must have it from that authority. Who shows none is let in as far
    as the application lets them, because probes have none. None where nothing is encrypted. Raises SettingsError.
    """
    if folder is None:
        return None
    certificates = Certificates(folder, _for_who_is_called, unreadable)

    def as_they_stand(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = certificates.context

    context = certificates.context
    context.sni_callback = as_they_stand
    return context


def _for_who_calls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _for_who_is_called() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a session that is resumed would be one of certificates that may have gone
    return context
