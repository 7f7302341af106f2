"""What is configured as certificates and is no such ends the process before it serves, and is said without a key."""

from pathlib import Path

import pytest

from tests.certificates import MOUNTED, Authority
from tollway_api.environment import SettingsError
from tollway_tls.certificates import client_certificates, server_context


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("tls.crt", None, "No such file or directory"),
        ("ca.crt", "", "NO_CERTIFICATE_OR_CRL_FOUND"),
        ("tls.key", "no key", ""),
    ],
)
def test_what_are_no_certificates_is_said_at_start(
    tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    Authority.new(tmp_path / "authority").issue(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    for opened in (client_certificates, server_context):
        with pytest.raises(SettingsError) as raised:
            opened(tmp_path, lambda _: None)
        assert str(raised.value).startswith(
            f"TOLLWAY_ADMIN_TLS_DIR is '{tmp_path}': {', '.join(MOUNTED[:2])} or ca.crt: "
        )
        assert said in str(raised.value)


def test_where_none_are_configured_nothing_is_encrypted() -> None:
    assert client_certificates(None, lambda _: None) is None
    assert server_context(None, lambda _: None) is None
