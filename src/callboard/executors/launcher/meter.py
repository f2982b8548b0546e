"""Turns counters of a job's tree into the figures shown for a run: current, average and greatest."""

import time
from collections.abc import Callable
from pathlib import Path

from callboard.executors.base import Stats
from callboard.executors.launcher.cgroups import Usage


class Meter:
    """Sampled about once a second, and once at the end for the totals."""

    def __init__(self, usage: Callable[[], Usage], traffic: Callable[[], tuple[int, int]]) -> None:
        self._usage, self._traffic = usage, traffic
        self._started = self._at = time.monotonic()
        self._cpu_usec = 0
        self._samples = self._mem_sum = self._mem_max = 0
        self._cpu_max = 0.0
        self._base = traffic()

    def sample(self) -> Stats:
        now, usage = time.monotonic(), self._usage()
        cpu = _percent(usage.cpu_usec - self._cpu_usec, now - self._at)
        self._at, self._cpu_usec = now, usage.cpu_usec
        self._samples += 1
        self._mem_sum += usage.memory_bytes
        self._mem_max = max(self._mem_max, usage.memory_bytes)
        self._cpu_max = max(self._cpu_max, cpu)
        return self._stats(current_cpu=cpu, current_memory=usage.memory_bytes)

    def final(self) -> Stats:
        """The totals of an ended job. One too short to be sampled is judged by the kernel's own peak."""
        usage = self._usage()
        self._cpu_usec = max(usage.cpu_usec, self._cpu_usec)
        if not self._samples:
            self._samples, self._mem_sum = 1, usage.memory_max_bytes
            self._mem_max = usage.memory_max_bytes
        self._cpu_max = max(self._cpu_max, self._average_cpu())
        return self._stats(current_cpu=0, current_memory=0)

    def _average_cpu(self) -> float:
        return _percent(self._cpu_usec, time.monotonic() - self._started)

    def _stats(self, *, current_cpu: float, current_memory: int) -> Stats:
        received, sent = self._traffic()
        return Stats(
            mem_avg_bytes=self._mem_sum / self._samples,
            mem_max_bytes=self._mem_max,
            mem_current_bytes=current_memory,
            cpu_avg_usage=self._average_cpu(),
            cpu_max_usage=self._cpu_max,
            cpu_current_usage=current_cpu,
            net_rx_bytes=max(received - self._base[0], 0),
            net_tx_bytes=max(sent - self._base[1], 0),
        )


def _percent(cpu_usec: float, secs: float) -> float:
    return max(cpu_usec / 10_000 / secs, 0.0) if secs > 0 else 0.0


def interface_bytes(interface: str) -> tuple[int, int]:
    """Bytes received and sent by an interface of this thread's network namespace; zeros when it has none."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == interface:
            fields = numbers.split()
            return int(fields[0]), int(fields[8])
    return 0, 0
