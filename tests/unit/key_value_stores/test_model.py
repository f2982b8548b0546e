"""Key ranges, and a store against a plain dictionary."""

import asyncio
import gzip
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from callboard.api.refs import ById
from callboard.key_value_stores.model import KeyRange
from callboard.storages.model import Storage
from callboard.storages.service import Need

from .conftest import Stores

ONE_DAY = timedelta(days=1)
MACHINE_SETTINGS = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
KEYS = st.sampled_from(["a", "b", "B", "a.b", "a-b", "ab", "!", "..", "k" * 256])
VALUES = st.builds(
    bytes.__mul__, st.binary(min_size=1, max_size=3), st.sampled_from([0, 5, 30_000])
)


@pytest.mark.parametrize(
    ("prefix", "exact", "expected"),
    [
        ("", None, KeyRange(prefix="ab")),
        ("a", None, KeyRange(prefix="ab")),
        ("abc", None, KeyRange(prefix="abc")),
        ("b", None, None),
        ("", "abc", KeyRange(prefix="ab", exact="abc")),
        ("", "a", None),
    ],
)
def test_a_range_is_cut_to_what_both_have(
    prefix: str, exact: str | None, expected: KeyRange | None
):
    assert KeyRange(prefix="ab").within(prefix=prefix, exact=exact) == expected


class StoreMachine(RuleBasedStateMachine):
    """Whatever is done to a store, it is as if done to a dictionary."""

    runner: asyncio.Runner
    stores: Stores

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def start(self) -> None:
        self.store: Storage = self.run(self.stores.new())

    @rule(key=KEYS, value=VALUES, packed=st.booleans())
    def put(self, key: str, value: bytes, packed: bool) -> None:
        body = gzip.compress(value, 0) if packed else value
        self.run(self.stores.put(self.store, key, body, "gzip" if packed else None))
        self.model[key] = value
        self.sizes[key] = len(body)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.run(self.stores.service.delete_record(self.stores.caller, self.store, key))
        self.model.pop(key, None)
        self.sizes.pop(key, None)

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        assert self.run(self.stores.get(self.store, key)) == self.model.get(key)

    @rule(
        after=st.none() | KEYS,
        prefix=st.sampled_from(["", "a", "a.", "x"]),
        limit=st.integers(1, 4),
    )
    def list_keys(self, after: str | None, prefix: str, limit: int) -> None:
        page = self.run(
            self.stores.service.list_keys(
                self.store, KeyRange(after=after, prefix=prefix), limit=limit
            )
        )
        expected = sorted(
            key for key in self.model if key > (after or "") and key.startswith(prefix)
        )
        assert [(item.key, item.size) for item in page.items] == [
            (key, self.sizes[key]) for key in expected[:limit]
        ]
        assert page.next_start == (expected[limit - 1] if len(expected) > limit else None)

    @invariant()
    def its_bytes_are_counted(self) -> None:
        found = self.run(
            self.stores.service.find(self.stores.caller, ById(self.store.id), Need.READ)
        )
        assert found.storage_bytes == sum(self.sizes.values())


def test_a_store_behaves_like_a_dictionary(tmp_path: Path):
    with asyncio.Runner() as runner:
        stores = runner.run(Stores.open(tmp_path))
        StoreMachine.runner, StoreMachine.stores = runner, stores
        try:
            run_state_machine_as_test(StoreMachine, settings=MACHINE_SETTINGS)
            assert runner.run(stores.service.reclaim_orphans(older_than=-ONE_DAY)) == 0
        finally:
            runner.run(stores.close())
