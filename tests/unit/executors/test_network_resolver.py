"""Which name servers runs are given, for the resolv.conf files that hosts have."""

from pathlib import Path

import pytest

from callboard.executors.launcher.network_resolver import read_resolvers

GATEWAY = "10.213.0.1"


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        pytest.param(
            "nameserver 192.168.1.1\nsearch lan\n",
            None,
            "search lan\nnameserver 192.168.1.1\n",
            id="plain",
        ),
        pytest.param(
            "nameserver 127.0.0.53\noptions edns0\n",
            "nameserver 192.168.1.1\n",
            "nameserver 192.168.1.1\n",
            id="forwarder-with-known-servers",
        ),
        pytest.param("nameserver 127.0.0.1\n", None, f"nameserver {GATEWAY}\n", id="only-loopback"),
        pytest.param(
            "nameserver 127.0.0.1\nnameserver 1.1.1.1\n",
            None,
            "nameserver 1.1.1.1\n",
            id="loopback-first",
        ),
        pytest.param(
            "nameserver fd00::1\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\n",
            None,
            "nameserver 9.9.9.9\n",
            id="ipv6-left-out",
        ),
        pytest.param("# nothing\nnameserver\n\n", None, "", id="none"),
        pytest.param(None, None, "", id="no-files"),
    ],
)
def test_runs_get_the_name_servers_they_can_reach(
    tmp_path: Path, first: str | None, second: str | None, shown: str
) -> None:
    sources = [tmp_path / "first", tmp_path / "second"]
    for source, content in zip(sources, (first, second), strict=True):
        if content is not None:
            source.write_text(content)
    assert read_resolvers(sources).render(local_as=GATEWAY) == shown


def test_no_more_name_servers_are_kept_than_are_used(tmp_path: Path) -> None:
    source = tmp_path / "resolv.conf"
    source.write_text("".join(f"nameserver 203.0.113.{number}\n" for number in range(5)))
    assert read_resolvers([source]).nameservers == ("203.0.113.0", "203.0.113.1", "203.0.113.2")
