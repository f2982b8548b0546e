"""Samples, goals, and the lines that are printed. A ratio is believed only with both sides measured side by side."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Samples:
    """Seconds that one thing took, time after time."""

    seconds: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]

    def __str__(self) -> str:
        return f"{_span(self.p50)} / {_span(self.p95)} n={len(self.seconds)}"

    def as_json(self) -> dict[str, float]:
        return {"p50_secs": self.p50, "p95_secs": self.p95, "n": len(self.seconds)}


@dataclass(frozen=True)
class Goal:
    """`value` is to be at most, or at least, this."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}"


@dataclass(frozen=True)
class Result:
    """One line. `value` is what the goal is about, in `unit`; `x` means a ratio."""

    case: str
    value: float
    unit: str = "x"
    goal: Goal | None = None
    measured: dict[str, Samples] = field(default_factory=dict[str, Samples])
    """What was measured and what it is compared with, by name."""

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "PASS" if self.goal.is_met(self.value) else "miss"

    def __str__(self) -> str:
        sides = "; ".join(f"{name} {samples}" for name, samples in self.measured.items())
        wanted = f" ({self.goal})" if self.goal else ""
        value = f"{self.value:.3g} {self.unit}{wanted}"
        return f"{self.verdict:4}  {self.case:<52}  {value:<24}  {sides}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "value": self.value,
            "unit": self.unit,
            "goal": asdict(self.goal) if self.goal else None,
            "verdict": self.verdict,
            "measured": {name: samples.as_json() for name, samples in self.measured.items()},
        }


def _span(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} us"
