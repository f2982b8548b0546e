"""Turns what an engine measures of a container into the figures shown for a run."""

from collections.abc import Mapping
from typing import Any

from callboard.executors.base import Stats
from callboard.executors.docker.moments import moment

_NANOS = 1e9


class Figures:
    """Fed about once a second, with the samples of one container in their order."""

    def __init__(self, started_at_secs: float) -> None:
        self._started_at = self._at = started_at_secs
        self._cpu_nanos = 0
        self._samples = self._mem_sum = self._mem_max = 0
        self._cpu_max = 0.0
        self._newest = Stats()

    def add(self, sample: Mapping[str, Any]) -> Stats | None:
        """The figures with this sample; None for one of a container that is over."""
        memory = _memory_bytes(sample.get("memory_stats") or {})
        read = moment(sample.get("read"))
        if memory is None or read is None:
            return None
        at = read.secs
        nanos = int(sample["cpu_stats"]["cpu_usage"]["total_usage"])
        cpu = self._cpu_since_last(at, nanos)
        self._samples += 1
        self._mem_sum += memory
        self._mem_max = max(self._mem_max, memory)
        self._cpu_max = max(self._cpu_max, cpu)
        received, sent = _traffic(sample.get("networks") or {})
        self._newest = Stats(
            mem_avg_bytes=self._mem_sum / self._samples,
            mem_max_bytes=self._mem_max,
            mem_current_bytes=memory,
            cpu_avg_usage=_percent(nanos, at - self._started_at),
            cpu_max_usage=self._cpu_max,
            cpu_current_usage=cpu,
            net_rx_bytes=received,
            net_tx_bytes=sent,
        )
        return self._newest

    def final(self) -> Stats:
        """What is known of an ended container: the newest figures, less the current ones."""
        newest = self._newest
        return Stats(
            mem_avg_bytes=newest.mem_avg_bytes,
            mem_max_bytes=newest.mem_max_bytes,
            cpu_avg_usage=newest.cpu_avg_usage,
            cpu_max_usage=newest.cpu_max_usage,
            net_rx_bytes=newest.net_rx_bytes,
            net_tx_bytes=newest.net_tx_bytes,
        )

    def _cpu_since_last(self, at: float, nanos: int) -> float:
        cpu = _percent(nanos - self._cpu_nanos, at - self._at)
        self._at, self._cpu_nanos = at, nanos
        return cpu


def _percent(nanos: float, secs: float) -> float:
    return max(nanos / _NANOS / secs * 100, 0.0) if secs > 0 else 0.0


def _memory_bytes(memory: Mapping[str, Any]) -> int | None:
    """Without the page cache that the kernel would give up first; its name differs between the two hierarchies."""
    usage = memory.get("usage")
    if usage is None:
        return None
    details: Mapping[str, int] = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(int(usage) - int(cache), 0)


def _traffic(networks: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    received = sum(network.get("rx_bytes", 0) for network in networks.values())
    sent = sum(network.get("tx_bytes", 0) for network in networks.values())
    return received, sent
