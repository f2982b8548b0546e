"""`python -m bench [GROUP...] [--quick] [--large] [--json FILE]`: measure, and print a line for each case."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from bench import api, builds, docker, growth, growth_entries, machine, runs, sandbox, storages
from bench.plan import Plan
from bench.report import Result
from bench.server import Server

_Measure: TypeAlias = Callable[[Server, Plan], Iterator[Result]]

# What needs an idle server with little in it comes first.
GROUPS: dict[str, _Measure] = {
    "runs": runs.measure,
    "sandbox": sandbox.measure,
    "storages": storages.measure,
    "api": api.measure,
    "growth": growth.measure,
    "entries": growth_entries.measure,
    "builds": builds.measure,
    "docker": docker.measure,
}


def main() -> None:
    options = _options()
    plan = Plan(quick=options.quick, large=options.large)
    about = machine.describe()
    print("  ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    if plan.quick:
        print("quick: shows that the cases work; the figures say nothing")
    results = list(_measured(options.groups or list(GROUPS), plan))
    print(f"\nload at the end {machine.describe()['load']}")
    if options.json:
        lines = [result.as_json() for result in results]
        options.json.write_text(json.dumps({"machine": about, "results": lines}, indent=2) + "\n")


def _measured(groups: list[str], plan: Plan) -> Iterator[Result]:
    """Each group on a server of its own, so that none finds what another has left; quick ones share one."""
    for shared in [groups] if plan.quick else [[group] for group in groups]:
        with Server() as server:
            for group in shared:
                print(f"\n{group}", flush=True)
                yield from _printed(GROUPS[group](server, plan))


def _printed(results: Iterable[Result]) -> Iterator[Result]:
    for result in results:
        print(result, flush=True)
        yield result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="each case about once, to see it work")
    parser.add_argument("--large", action="store_true", help="also a dataset of a million items")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
