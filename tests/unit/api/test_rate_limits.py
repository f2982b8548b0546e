"""Buckets of requests: how many go through, how soon more do, and that strangers cannot fill the memory."""

import time

import pytest

from callboard.api import rate_limits
from callboard.api.errors import RateLimitExceeded
from callboard.api.rate_limits import Rate, RateLimiter, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, *, per_minute: int = 1_000_000, is_enforced: bool = True) -> RateLimiter:
    rates = Rates({Rate.USUAL: 60, Rate.RECORDS: 200, Rate.BUSY: 400}, per_minute)
    return RateLimiter(rates, is_enforced=is_enforced, clock=clock)


def allowed(
    one: RateLimiter,
    tries: int,
    *,
    who: str = "ann",
    rate: Rate = Rate.USUAL,
    resource: str = "a",
) -> int:
    count = 0
    for _ in range(tries):
        try:
            one.count(who, rate, resource)
            count += 1
        except RateLimitExceeded:
            pass
    return count


@pytest.mark.parametrize(
    ("rate", "count"), [(Rate.USUAL, 60), (Rate.RECORDS, 200), (Rate.BUSY, 400)]
)
def test_a_burst_is_as_long_as_the_rate_of_a_second(clock: Clock, rate: Rate, count: int):
    assert allowed(limiter(clock), 1000, rate=rate) == count


def test_what_was_used_comes_back_in_time(clock: Clock):
    one = limiter(clock)
    allowed(one, 100)
    clock.now += 0.5
    assert allowed(one, 100) == 30
    clock.now += 10
    assert allowed(one, 100) == 60


def test_what_is_refused_does_not_make_the_wait_longer(clock: Clock):
    one = limiter(clock)
    allowed(one, 10_000)
    clock.now += 1
    assert allowed(one, 100) == 60


def test_a_steady_client_at_the_rate_is_never_refused(clock: Clock):
    one = limiter(clock)
    for _ in range(1000):
        assert allowed(one, 1) == 1
        clock.now += 1 / 60


def test_accounts_resources_and_rates_do_not_share_a_bucket(clock: Clock):
    one = limiter(clock)
    allowed(one, 60)
    assert allowed(one, 1) == 0
    assert allowed(one, 1, who="bob") == 1
    assert allowed(one, 1, resource="b") == 1
    assert allowed(one, 1, rate=Rate.BUSY) == 1


def test_an_account_has_a_limit_over_all_its_resources(clock: Clock):
    one = limiter(clock, per_minute=120)
    assert sum(allowed(one, 1, resource=str(i)) for i in range(500)) == 120
    assert allowed(one, 1, who="bob") == 1
    clock.now += 30
    assert sum(allowed(one, 1, resource=str(i)) for i in range(500)) == 60


def test_nothing_is_refused_when_rates_are_not_enforced(clock: Clock):
    one = limiter(clock, is_enforced=False)
    assert allowed(one, 1000) == 1000
    assert one.header(Rate.USUAL) == (b"x-ratelimit-limit", b"60")


def test_no_number_of_strangers_fills_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rate_limits, "BUCKETS_MAX", 100)
    one = limiter(clock)
    for number in range(1000):
        assert allowed(one, 1, who=str(number)) == 1
    kept = [one._accounts, *one._resources.values()]  # pyright: ignore[reportPrivateUsage]
    assert all(len(each._newer) + len(each._older) <= 200 for each in kept)  # pyright: ignore[reportPrivateUsage]


def test_counting_costs_microseconds():
    rates = Rates(dict.fromkeys(Rate, 1_000_000), 100_000_000)
    one = RateLimiter(rates, is_enforced=True)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for number in range(2000):
            one.count("ann", Rate.BUSY, str(number % 50))
        best = min(best, (time.perf_counter() - begun) / 2000)
    assert best < 20e-6
