"""Random pushes, reads and deletions against a plain list."""

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.datasets.conftest import Bench

from callboard.datasets.model import Format, ItemQuery

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
items = st.dictionaries(st.sampled_from(["a", "b", "#c", "", "d/e"]), values, max_size=4)


class DatasetMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = self.runner.run(Bench.open(Path(self.folder.name, "callboard.db")))
        self.dataset = self.runner.run(self.bench.dataset())
        self.model: list[dict[str, object]] = []

    def teardown(self) -> None:
        self.runner.run(self.bench.close())
        self.runner.close()
        self.folder.cleanup()

    def read_document(self, query: ItemQuery) -> bytes:
        return self.runner.run(self.bench.read(self.dataset, query))

    @rule(pushed=st.lists(items, max_size=5))
    def push_many(self, pushed: list[dict[str, object]]) -> None:
        self.runner.run(self.bench.push(self.dataset, pushed))
        self.model += pushed

    @rule(pushes=st.lists(items, min_size=2, max_size=4))
    def push_at_once(self, pushes: list[dict[str, object]]) -> None:
        async def together() -> None:
            await asyncio.gather(*[self.bench.push(self.dataset, item) for item in pushes])

        self.runner.run(together())
        added = json.loads(self.read_document(ItemQuery(offset=len(self.model))))
        assert sorted(map(json.dumps, added)) == sorted(map(json.dumps, pushes))
        self.model += added  # in whatever order they came to be

    @rule(
        offset=st.integers(0, 12),
        limit=st.none() | st.integers(1, 12),
        desc=st.booleans(),
        is_clean=st.booleans(),
        format_=st.sampled_from([Format.JSON, Format.JSONL]),
    )
    def read(self, offset, limit, desc, is_clean, format_) -> None:
        query = ItemQuery(
            format=format_,
            offset=offset,
            limit=limit,
            desc=desc,
            skip_hidden=is_clean,
            skip_empty=is_clean,
        )
        document = self.read_document(query)
        read = (
            json.loads(document)
            if format_ is Format.JSON
            else [json.loads(line) for line in document.split(b"\n")[:-1]]
        )
        ordered = self.model[::-1] if desc else self.model
        expected = ordered[offset:] if limit is None else ordered[offset : offset + limit]
        assert read == (clean(expected) if is_clean else expected)

    @rule()
    def tables_have_a_row_for_every_item(self) -> None:
        document = self.read_document(ItemQuery(format=Format.HTML))
        rows = document.count(b"<tr>") - document.count(b"<tr><th>")
        assert rows == len(self.model)

    @invariant()
    def counters_tell_the_truth(self) -> None:
        dataset = self.runner.run(self.bench.again(self.dataset))
        assert dataset.item_count == dataset.write_count == len(self.model)
        assert dataset.clean_item_count == len(clean(self.model))
        assert set(dataset.fields or []) == {name for item in self.model for name in item}


def clean(model: list[dict[str, object]]) -> list[dict[str, object]]:
    visible = [{k: v for k, v in item.items() if not k.startswith("#")} for item in model]
    return [item for item in visible if item]


TestDatasetMachine = DatasetMachine.TestCase
TestDatasetMachine.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
