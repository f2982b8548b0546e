"""Counters become figures."""

import pytest

from callboard.executors.launcher.cgroups import Usage
from callboard.executors.launcher.meter import Meter, interface_bytes


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("callboard.executors.launcher.meter.time", clock)
    return clock


def test_figures_are_current_average_and_greatest(clock: Clock):
    usages = [Usage(100, 500, 500_000), Usage(300, 500, 2_500_000), Usage(0, 500, 3_000_000)]
    traffic = iter([(10, 20), (10, 20), (15, 40), (17, 41)])
    meter = Meter(lambda: usages.pop(0), lambda: next(traffic))
    clock.now = 101
    first = meter.sample()
    assert (first.cpu_current_usage, first.mem_current_bytes) == (50, 100)
    clock.now = 102
    second = meter.sample()
    assert (second.cpu_current_usage, second.cpu_avg_usage, second.cpu_max_usage) == (200, 125, 200)
    assert (second.mem_avg_bytes, second.mem_max_bytes) == (200, 300)
    assert (second.net_rx_bytes, second.net_tx_bytes) == (5, 20)
    clock.now = 104
    final = meter.final()
    assert (final.cpu_avg_usage, final.cpu_current_usage, final.mem_current_bytes) == (75, 0, 0)
    assert (final.net_rx_bytes, final.net_tx_bytes) == (7, 21)


def test_a_job_too_short_to_sample_is_judged_by_its_peak(clock: Clock):
    meter = Meter(lambda: Usage(0, 500, 10_000), lambda: (0, 0))
    clock.now = 100.1
    final = meter.final()
    assert (final.mem_avg_bytes, final.mem_max_bytes) == (500, 500)
    assert final.cpu_avg_usage == pytest.approx(10)


def test_traffic_is_read_from_the_kernel():
    received, sent = interface_bytes("lo")
    assert received == sent
    assert interface_bytes("no-such-one") == (0, 0)
