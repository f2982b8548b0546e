"""Timing several things in turns, so that what else the machine does hits all of them alike."""

import time
from collections.abc import Callable

from bench.report import Samples


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleaved(
    rounds: int,
    cases: dict[str, Callable[[], object]],
    *,
    per_call: int = 1,
    warm_up: bool = True,
    between: Callable[[], object] = lambda: None,
) -> dict[str, Samples]:
    """Run every case once a round, each round in another order. A call that does `per_call` things counts for one.

    `between` is called after each round and not timed.
    """
    names = list(cases)
    if warm_up:
        for work in cases.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(timed(cases[name]) / per_call)
        between()
    return {name: Samples(values) for name, values in seconds.items()}
