"""Which upstream a request goes out through, without a network."""

from callboard.config import ProxyUpstream
from callboard.proxy.credentials import Wish
from callboard.proxy.upstreams import Upstreams

FOUR = [ProxyUpstream(f"http://proxy{n}:8000", ("A",)) for n in range(4)]


def chosen(upstreams: Upstreams, session: str, user_id: str = "me") -> str:
    upstream = upstreams.choose(user_id, Wish(session=session))
    assert upstream is not None
    return upstream.host


def test_a_session_keeps_its_upstream_when_another_goes() -> None:
    before, after = Upstreams(FOUR), Upstreams(FOUR[:3])
    for n in range(50):
        host = chosen(before, f"s{n}")
        assert host == chosen(Upstreams(FOUR), f"s{n}")
        if host != "proxy3":
            assert chosen(after, f"s{n}") == host


def test_sessions_spread_over_upstreams() -> None:
    hosts = [chosen(Upstreams(FOUR), f"s{n}") for n in range(400)]
    assert all(hosts.count(f"proxy{n}") > 50 for n in range(4))


def test_a_session_of_another_account_is_another() -> None:
    upstreams = Upstreams(FOUR)
    assert any(
        chosen(upstreams, f"s{n}", "me") != chosen(upstreams, f"s{n}", "you") for n in range(20)
    )


def test_without_a_session_upstreams_take_turns() -> None:
    upstreams = Upstreams(FOUR)
    hosts = [upstream.host for _ in range(8) if (upstream := upstreams.choose("me", Wish()))]
    assert sorted(hosts) == sorted(["proxy0", "proxy1", "proxy2", "proxy3"] * 2)
