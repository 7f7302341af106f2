"""What a data plane is told at start, and the tokens it lets in."""

from pathlib import Path

from tollway_dataplane.settings import read_tokens


def test_what_is_no_token_keeps_nobody_from_being_known_by_another(tmp_path: Path) -> None:
    files = {
        "a": b"\xff\xfe",
        "b": b" first\n",
        "c": b"",
        "d": "naïve".encode(),
        "e": b"two words",
        ".f": b"second",
    }
    for name, value in {**files, "g": b"x" * 513}.items():
        (tmp_path / name).write_bytes(value)
    (tmp_path / "..data").mkdir()
    assert read_tokens(tmp_path) == ["second", "first"], "in the operator's order"


def test_without_a_folder_nobody_is_let_in(tmp_path: Path) -> None:
    assert read_tokens(tmp_path / "absent") == []
