"""URLs of Redis: which are of use, what they say, and that no message has their password."""

from pathlib import Path

import pytest

from tollway_api.redis_url import RedisAddress, address_in, check_ledger_url, check_redis_url, read_redis_url

PASSWORD = "p%40ss"
WATCHED = f"rediss+sentinel://me:{PASSWORD}@one:26379,two,[::1]:26380/main/2?sentinel_password=other&ssl_ca_certs=/ca.crt"

SPREAD = f"rediss+cluster://me:{PASSWORD}@one,two:6380,[::1]:6379?ssl_ca_certs=/ca.crt"


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("redis://host", "host:6379"),
        (f"rediss://me:{PASSWORD}@host:6380/1?ssl_ca_certs=/ca.crt", "host:6380"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        (SPREAD, "the cluster of one:6379, two:6380, ::1:6379"),
        (WATCHED, "main of the sentinels one:26379, two:26379, ::1:26380"),
    ],
)
def test_a_message_may_call_it_by_an_address_that_has_no_password(
    url: str, called: str, tmp_path: Path
) -> None:
    assert address_in(check_redis_url(url)) == called
    file = tmp_path / "cache"
    file.write_text(f"{url}\n")
    assert address_in(f"file://{file}") == called
    assert PASSWORD not in repr(read_redis_url(url))


def test_of_sentinels_all_else_is_as_of_a_server() -> None:
    server = f"rediss://me:{PASSWORD}@one:26379/2?sentinel_password=other&ssl_ca_certs=/ca.crt"
    assert read_redis_url(WATCHED) == RedisAddress(
        server, (("one", 26_379), ("two", 26_379), ("::1", 26_380)), "main"
    )


def test_of_a_cluster_some_nodes_are_named_and_never_for_the_ledger(tmp_path: Path) -> None:
    server = f"rediss://me:{PASSWORD}@one/0?ssl_ca_certs=/ca.crt"
    assert read_redis_url(SPREAD) == RedisAddress(
        server, nodes=(("one", 6_379), ("two", 6_380), ("::1", 6_379))
    )
    file = tmp_path / "ledger"
    file.write_text(SPREAD)
    for url in (SPREAD, f"file://{file}"):
        with pytest.raises(ValueError, match="a ledger cannot be spread") as refused:
            check_ledger_url(url)
        assert PASSWORD not in str(refused.value)
    assert check_ledger_url(WATCHED) == WATCHED


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6379",
        "http://host",
        "redis://",
        "redis://host:port",
        "redis://[::1",
        "redis+sentinel://one:26379",
        "redis+sentinel:///main",
        "redis+sentinel://one:port/main",
        "sentinel://one/main",
        "redis+cluster://",
        "redis+cluster://one:port",
        "redis+cluster://one/1",
    ],
)
def test_what_is_none_is_refused_also_in_a_file(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the URL of a Redis; write it like"):
        check_redis_url(url)
    file = tmp_path / "cache"
    file.write_text(url)
    with pytest.raises(ValueError, match=f"what is in {file} is not the URL of a Redis"):
        check_redis_url(f"file://{file}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no file that can be read: {tmp_path}"):
        check_redis_url(f"file://{tmp_path}/cache")
    (tmp_path / "cache").write_text(f"file://{tmp_path}/cache")
    with pytest.raises(ValueError, match="not the URL of a Redis"):
        check_redis_url(f"file://{tmp_path}/cache")
