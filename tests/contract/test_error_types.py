"""Errors: their types are the contract's, or in a list with reasons, and each type has one status."""

import importlib
import pkgutil
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import callboard
from callboard.api.contract import load_contract
from callboard.core.errors import ApiError

LISTED = tomllib.loads((Path(__file__).parent / "error_types.toml").read_text())

PROGRAMS = {"callboard.builders.process.tools.pip_by_uv"}
"""Run by themselves, and not to be imported."""


def subclasses(of: type[ApiError]) -> Iterator[type[ApiError]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def every_error() -> list[type[ApiError]]:
    for module in pkgutil.walk_packages(callboard.__path__, "callboard."):
        if not module.name.endswith("__main__") and module.name not in PROGRAMS:
            importlib.import_module(module.name)
    return [one for one in subclasses(ApiError) if one.__module__.startswith("callboard.")]


def test_every_type_is_the_contracts_or_listed_with_a_reason():
    known = set(load_contract()["components"]["schemas"]["ErrorType"]["enum"])
    own = {error.type for error in every_error()} - known
    assert own == LISTED["own"].keys()
    assert all(LISTED["own"].values())


def test_each_type_has_one_status():
    statuses: defaultdict[str, set[int]] = defaultdict(set)
    for error in every_error():
        statuses[error.type].add(error.status)
    several = {kind for kind, found in statuses.items() if len(found) > 1}
    assert several == LISTED["several_statuses"].keys()
    assert all(LISTED["several_statuses"].values())


def test_every_error_has_a_status_of_an_error_and_a_message():
    wrong = [
        error.__qualname__
        for error in every_error()
        if not 400 <= error.status < 600 or not error.message
    ]
    assert wrong == []
