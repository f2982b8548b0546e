"""Whatever comes in, the answer is a value or one of the named errors, never a crash."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.inputs.input_schema import (
    InvalidInput,
    InvalidInputSchema,
    check_schema,
    parse_schema,
)
from callboard.inputs.input_schema.js_pattern import strict
from callboard.inputs.input_schema.pattern_safety import PatternRefused, check_pattern
from callboard.inputs.memory_expression import MemoryExpressionError, memory_from_expression

quick = settings(max_examples=80, deadline=None)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=15,
)
names = st.sampled_from(["a", "b", "c", "useApifyProxy", "proxyUrls", "key", "value", "url"])
inputs = st.dictionaries(names, anything | st.lists(st.dictionaries(names, scalars)), max_size=5)

KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.lists(st.sampled_from(["string", "object", "array"]), min_size=1, unique=True),
    "nullable": st.booleans(),
    "isSecret": st.booleans(),
    "default": anything,
    "enum": st.lists(text, min_size=1, unique=True, max_size=3),
    "pattern": st.sampled_from(["^a", "[\\w-.]+", "(?=a)", "("]),
    "patternKey": st.sampled_from(["^a", "b$"]),
    "patternValue": st.sampled_from(["^a", "b$"]),
    "minLength": st.integers(-1, 5),
    "minimum": st.integers() | text,
    "maxItems": st.integers(0, 3),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 3),
    "required": st.lists(names, max_size=2, unique=True) | st.booleans(),
    "additionalProperties": st.booleans() | anything,
    "resourceType": st.sampled_from(["dataset", "keyValueStore", "disk"]),
    "errorMessage": st.dictionaries(st.sampled_from(["type", "pattern", "minimum"]), text),
    "unknown": anything,
}
EDITORS = {
    "string": ["textfield", "hidden"],
    "boolean": ["checkbox"],
    "integer": ["number"],
    "number": ["number"],
    "object": ["json", "proxy"],
    "array": ["json", "keyValue", "stringList", "globs", "requestListSources"],
}


@st.composite
def specs(draw: st.DrawFn, *, depth: int = 2) -> dict[str, Any]:
    """A property with few keywords, so that many are valid."""
    kind = draw(st.sampled_from(list(EDITORS)))
    spec: dict[str, Any] = {"type": kind, "title": "", "description": ""}
    spec["editor"] = draw(st.sampled_from(EDITORS[kind]))
    for keyword in draw(st.lists(st.sampled_from(list(KEYWORDS)), max_size=2)):
        spec[keyword] = draw(KEYWORDS[keyword])
    if depth and kind == "object":
        spec["properties"] = draw(st.dictionaries(names, specs(depth=depth - 1), max_size=2))
    if depth and kind == "array" and draw(st.booleans()):
        spec["items"] = draw(specs(depth=depth - 1))
    return spec


schemas = st.fixed_dictionaries(
    {
        "title": text,
        "type": st.just("object"),
        "schemaVersion": st.just(1),
        "properties": st.dictionaries(names, specs(), max_size=3),
    },
    optional={"additionalProperties": st.booleans()},
)


@quick
@given(anything)
def test_any_json_is_a_schema_or_refused(schema: object):
    try:
        check_schema(schema)
    except InvalidInputSchema as refused:
        assert refused.message.startswith("Input schema is not valid")


@quick
@given(schemas, inputs)
def test_a_schema_once_accepted_can_judge_any_input(
    schema: dict[str, Any], run_input: dict[str, Any]
):
    try:
        used = parse_schema(json.dumps(schema))
    except InvalidInputSchema:
        return
    filled = used.apply_defaults(run_input)
    assert used.apply_defaults(filled) == filled
    assert filled.keys() >= run_input.keys()
    used.to_json_schema()
    try:
        used.validate(filled)
    except InvalidInput as refused:
        assert refused.message.startswith("Input is not valid: ")
        assert refused.message != "Input is not valid: "


@quick
@given(st.text(st.sampled_from("ab1-\\wd[](){}|*+?^$.,:=!<>pu"), max_size=15))
def test_any_expression_is_judged_and_strict_syntax_is_final(pattern: str):
    try:
        check_pattern(pattern)
    except PatternRefused:
        return
    assert strict(strict(pattern)) == strict(pattern)


WORDS = [
    "input",
    ".",
    "runOptions",
    "a",
    "b",
    "[",
    "]",
    "(",
    ")",
    "'a'",
    '"b"',
    "1",
    "2.5",
    "1e9",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "<",
    "?",
    ":",
    "??",
    ";",
    "=",
    ",",
    "and",
    "or",
    "not",
    "xor",
    "get",
    "min",
    "round",
    "{{",
    "}}",
    "#",
    "512",
    "512",
    "input.a",
]


@quick
@given(st.lists(st.sampled_from([*WORDS, "\n"]), max_size=14), inputs)
def test_any_memory_expression_gives_a_power_of_two_or_the_one_error(
    words: list[str], run_input: dict[str, Any]
):
    try:
        mbytes = memory_from_expression(" ".join(words), run_input, {})
    except MemoryExpressionError:
        return
    assert 128 <= mbytes <= 32768
    assert mbytes & (mbytes - 1) == 0
