import copy
import json
from typing import Any

import pytest

from callboard.inputs.input_schema import InputSchema, InvalidInput, ResourceField, parse_schema

ENCRYPTED = "aGVsbG8=:d29ybGQ="


def field(kind: str | list[str], editor: str | None = None, **more: Any) -> dict[str, Any]:
    described = {"type": kind, "title": "Title", "description": "Words"}
    return described | ({"editor": editor} if editor else {}) | more


def schema(properties: dict[str, Any], **more: Any) -> InputSchema:
    fixed = {"title": "Input", "type": "object", "schemaVersion": 1}
    return parse_schema(json.dumps(fixed | {"properties": properties} | more))


def complaint(spec: dict[str, Any], value: object, **more: Any) -> str:
    """What is said about a value of the one field `a`."""
    with pytest.raises(InvalidInput) as refused:
        schema({"a": spec}, **more).validate({"a": value})
    assert (refused.value.status, refused.value.type) == (400, "invalid-input")
    return refused.value.message.removeprefix("Input is not valid: ")


NESTED = field(
    "object",
    "schemaBased",
    properties={"q": {"type": "string"}, "list": {"type": "array", "items": {"type": "integer"}}},
    required=["q"],
    additionalProperties=False,
)


@pytest.mark.parametrize(
    ("spec", "value", "words"),
    [
        pytest.param(field("string", "textfield"), 5, "Field input.a must be string", id="string"),
        pytest.param(field("string", "textfield"), None, "Field input.a must be string", id="null"),
        pytest.param(
            field("integer", nullable=True), "5", "Field input.a must be integer", id="integer"
        ),
        pytest.param(field("integer"), 1.5, "Field input.a must be integer", id="fraction"),
        pytest.param(field("boolean"), 1, "Field input.a must be boolean", id="boolean"),
        pytest.param(field("array", "json"), {}, "Field input.a must be array", id="array"),
        pytest.param(
            field(["string", "array"], "json"), 5, "Field input.a must be string,array", id="any"
        ),
        pytest.param(
            field("string", enum=["x", "y"]),
            "z",
            'Field input.a must be equal to one of the allowed values: "x", "y"',
            id="enum",
        ),
        pytest.param(
            field("string", "textfield", pattern="^a$"),
            "b",
            'Field input.a must match pattern "^a$"',
            id="pattern",
        ),
        pytest.param(
            field("string", "textfield", minLength=2),
            "ž",
            "Field input.a must NOT have fewer than 2 characters",
            id="short",
        ),
        pytest.param(
            field("string", "textfield", maxLength=1),
            "ab",
            "Field input.a must NOT have more than 1 characters",
            id="long",
        ),
        pytest.param(field("integer", minimum=1), 0, "Field input.a must be >= 1", id="minimum"),
        pytest.param(field("number", maximum=1.5), 2, "Field input.a must be <= 1.5", id="maximum"),
        pytest.param(
            field("array", "json", minItems=1),
            [],
            "Field input.a must NOT have fewer than 1 items",
            id="few",
        ),
        pytest.param(
            field("array", "json", maxItems=1),
            [1, 2],
            "Field input.a must NOT have more than 1 items",
            id="many",
        ),
        pytest.param(
            field("array", "json", uniqueItems=True),
            [1, 1],
            "Field input.a must NOT have duplicate items",
            id="twice",
        ),
        pytest.param(
            field("object", "json", minProperties=1),
            {},
            "Field input.a must NOT have fewer than 1 properties",
            id="empty",
        ),
        pytest.param(NESTED, {}, "Field input.a.q is required", id="sub-required"),
        pytest.param(NESTED, {"q": 1}, "Field input.a.q must be string", id="sub-type"),
        pytest.param(
            NESTED, {"q": "x", "z": 1}, "Property input.a.z is not allowed.", id="sub-extra"
        ),
        pytest.param(
            NESTED,
            {"q": "x", "list": [1, "x"]},
            "Field input.a.list.1 must be integer",
            id="item-type",
        ),
        pytest.param(
            field("string", resourceType="dataset"),
            5,
            "Field input.a must be string",
            id="resource",
        ),
        pytest.param(
            field("array", resourceType="dataset"),
            ["x", 5],
            "Field input.a.1 must be string",
            id="resources",
        ),
        pytest.param(
            field("string", "textfield", pattern="^a$", errorMessage={"pattern": "Only an a."}),
            "b",
            "Only an a.",
            id="own-words",
        ),
    ],
)
def test_a_wrong_value_is_told_by_field_and_rule(spec: dict[str, Any], value: object, words: str):
    assert complaint(spec, value) == words


def test_all_that_is_wrong_is_told_at_once():
    strict = schema(
        {"a": field("boolean"), "b": field("integer")}, required=["a"], additionalProperties=False
    )

    with pytest.raises(InvalidInput) as refused:
        strict.validate({"b": "x", "c": 1, "d": 2})

    assert refused.value.message.split(": ", 1)[0] == "Input is not valid"
    assert set(refused.value.message.split(": ", 1)[1].split(", ")) == {
        "Field input.a is required",
        "Field input.b must be integer",
        "Property input.c is not allowed.",
        "Property input.d is not allowed.",
    }


@pytest.mark.parametrize(("count", "told"), [(1000, 20), (100_000, 1)], ids=["small", "large"])
def test_a_hopeless_input_gets_a_message_of_reasonable_length(count: int, told: int):
    words = complaint(field("array", "json", items={"type": "integer"}), ["x"] * count)

    assert words.count("must be integer") == told


def test_long_words_are_cut():
    words = complaint(field("string", enum=[f"choice {number}" for number in range(1000)]), "x")

    assert len(words) < 5000
    assert words.endswith("…")


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        pytest.param(field("integer"), 2.0, id="whole-float"),
        pytest.param(field("integer", nullable=True, minimum=1), None, id="null"),
        pytest.param(field("string", enum=["x"], nullable=True), None, id="null-enum"),
        pytest.param(
            field("string", "datepicker", dateType="absolute"), "tomorrow", id="date-is-free-text"
        ),
        pytest.param(
            field("string", "select", enumSuggestedValues=["x"]), "z", id="suggested-only"
        ),
        pytest.param(field("array", "stringList"), ["a", 5], id="number-in-list"),
        pytest.param(field("array", "globs"), ["https://x/*", {"glob": "https://y/*"}], id="globs"),
        pytest.param(field("array", "pseudoUrls"), [{"purl": "https://x/[.*]"}], id="pseudo-urls"),
        pytest.param(field("array", "keyValue"), [{"key": "a", "value": 1}], id="pairs"),
        pytest.param(
            field("array", "keyValue", nullable=True, patternKey="^a$"), None, id="null-pairs"
        ),
        pytest.param(
            field("array", "requestListSources"),
            [{"url": "HTTPS://x.example"}, {"requestsFromUrl": "http://y"}],
            id="sources",
        ),
        pytest.param(
            field("object", "json", patternKey="^a", patternValue="b$"), {"ab": "ab"}, id="map"
        ),
        pytest.param(
            field("string", "textfield", oneOf=[], **{"$ref": "https://x.example/s"}),
            "x",
            id="foreign-keywords",
        ),
        pytest.param(field("integer", pattern="^a$", minLength=5), 1, id="keywords-of-other-types"),
    ],
)
def test_what_the_platform_lets_pass_passes(spec: dict[str, Any], value: object):
    schema({"a": spec}).validate({"a": value})


@pytest.mark.parametrize(
    "value",
    [
        {"useApifyProxy": True},
        {"useApifyProxy": True, "apifyProxyGroups": ["RESIDENTIAL"], "apifyProxyCountry": "CZ"},
        {
            "useApifyProxy": False,
            "proxyUrls": ["http://me:pass@proxy.example:8000", " socks5h://p:1080 "],
        },
        {"useApifyProxy": True, "apifyProxyGroups": None, "proxyUrls": None},
    ],
    ids=["auto", "groups", "own", "nulls"],
)
def test_a_chosen_proxy_satisfies_a_required_proxy(value: dict[str, Any]):
    schema({"a": field("object", "proxy")}, required=["a"]).validate({"a": value})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(
            {}, "is required. Please provide custom proxy URLs or use Apify Proxy.", id="none"
        ),
        pytest.param(
            {"useApifyProxy": False, "proxyUrls": []}, "is required. Please provide", id="empty"
        ),
        pytest.param(
            {"proxyUrls": ["proxy.example"]}, "at positions [0] have invalid format", id="no-scheme"
        ),
        pytest.param({"proxyUrls": ["ftp://x:1", "http://x"]}, "at positions [0,1]", id="no-port"),
        pytest.param(
            {"proxyUrls": [5]}, "input.a.proxyUrls must be an array of strings", id="numbers"
        ),
        pytest.param(
            {"useApifyProxy": True, "apifyProxyGroups": "X"},
            "input.a.apifyProxyGroups must be",
            id="groups",
        ),
        pytest.param(
            {"useApifyProxy": "yes"}, "input.a.useApifyProxy must be boolean", id="switch"
        ),
        pytest.param(
            {"useApifyProxy": True, "apifyProxyCountry": "XX"},
            'Country code "XX" is invalid.',
            id="country",
        ),
        pytest.param(
            {"useApifyProxy": True, "apifyProxyCountry": 5},
            "apifyProxyCountry must be string",
            id="number",
        ),
        pytest.param(
            {"proxyUrls": ["http://x:1"], "apifyProxyCountry": "US"},
            "only when using Apify Proxy.",
            id="own-country",
        ),
    ],
)
def test_a_useless_proxy_is_refused(value: dict[str, Any], words: str):
    assert words in complaint(field("object", "proxy"), value, required=["a"])


def test_a_refused_proxy_does_not_show_its_password():
    assert "hunter2" not in complaint(
        field("object", "proxy"), {"proxyUrls": ["http://me:hunter2@x"]}
    )


def test_a_proxy_that_is_not_required_may_be_left_open():
    schema({"a": field("object", "proxy")}).validate({"a": {}})


@pytest.mark.parametrize(
    ("spec", "value", "words"),
    [
        pytest.param(
            field("array", "requestListSources"),
            [
                {"url": "https://x"},
                {"url": "x"},
                {},
                None,
                "https://x",
                {"requestsFromUrl": "file:///x"},
            ],
            "Items in input.a at positions [1,2,3,4,5] do not contain valid URLs",
            id="sources",
        ),
        pytest.param(
            field("array", "globs"),
            ["x", {}, 5],
            "Items in input.a at positions [1,2] do not",
            id="globs",
        ),
        pytest.param(
            field("array", "pseudoUrls"),
            [{"url": "x"}],
            "at positions [0] do not",
            id="pseudo-urls",
        ),
        pytest.param(
            field("array", "keyValue"),
            [{"key": "a"}, {"value": "b"}],
            "at positions [1] do not",
            id="pairs",
        ),
        pytest.param(
            field("array", "stringList"),
            ["a", {}, None],
            "at positions [1,2] must be strings",
            id="strings",
        ),
        pytest.param(
            field("array", "keyValue", patternKey="^a"),
            [{"key": "a"}, {"key": "b"}],
            'Keys in input.a at positions [1] must match regular expression "^a"',
            id="pair-keys",
        ),
        pytest.param(
            field("array", "keyValue", patternValue="^a"),
            [{"key": "x", "value": "a"}, {"key": "y"}],
            'Values in input.a at positions [1] must match regular expression "^a"',
            id="pair-values",
        ),
        pytest.param(
            field("array", "stringList", patternValue="^a"),
            ["a", "b"],
            'Values in input.a at positions [1] must match regular expression "^a"',
            id="string-values",
        ),
        pytest.param(
            field("object", "json", patternKey="^a"),
            {"a": 1, "b": 2},
            "Keys [b] in input.a must match regular",
            id="map-keys",
        ),
        pytest.param(
            field("object", "json", patternValue="^a"),
            {"x": "a", "y": 5},
            "Keys [y] in input.a must have string",
            id="map-values",
        ),
        pytest.param(
            field(
                "object", "json", patternKey="^a", errorMessage={"patternKey": "Keys start with a."}
            ),
            {"b": 1},
            "Keys start with a.",
            id="own-words",
        ),
    ],
)
def test_lists_and_maps_are_checked_as_their_editor_fills_them(
    spec: dict[str, Any], value: object, words: str
):
    assert words in complaint(spec, value)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (
            field("string", "textfield", isSecret=True, pattern="^a$", maxLength=3),
            f"ENCRYPTED_VALUE:{ENCRYPTED}",
        ),
        (field("object", "json", isSecret=True), f"ENCRYPTED_JSON:{ENCRYPTED}"),
        (field("array", "json", isSecret=True, minItems=3), f"ENCRYPTED_JSON:{ENCRYPTED}"),
    ],
    ids=["string", "object", "array"],
)
def test_an_encrypted_value_passes_where_a_secret_is_expected(spec: dict[str, Any], value: str):
    schema({"a": spec}, required=["a"]).validate({"a": value})


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (field("object", "json"), f"ENCRYPTED_JSON:{ENCRYPTED}"),
        (field("object", "json", isSecret=True), f"ENCRYPTED_VALUE:{ENCRYPTED}"),
        (field("object", "json", isSecret=True), "ENCRYPTED_JSON:"),
    ],
    ids=["not-secret", "wrong-kind", "not-encrypted"],
)
def test_a_text_is_no_object_unless_it_is_an_encrypted_one(spec: dict[str, Any], value: str):
    assert complaint(spec, value) == "Field input.a must be object"


def test_defaults_fill_what_is_missing_and_nothing_else():
    filled = schema(
        {
            "a": field("string", "textfield", default="x", prefill="never"),
            "b": field("integer", default=0),
            "c": field("string", "textfield", prefill="never"),
            "d": field("string", "textfield", nullable=True, default="x"),
        }
    ).apply_defaults({"b": 5, "d": None, "other": 1})

    assert filled == {"a": "x", "b": 5, "d": None, "other": 1}


OBJECT = field(
    "object",
    "schemaBased",
    properties={
        "x": {"type": "integer", "default": 1},
        "y": {"type": "integer", "default": 2},
        "deep": {"type": "object", "properties": {"z": {"type": "integer", "default": 3}}},
    },
)


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        pytest.param(OBJECT, {}, {}, id="a missing object is not made up"),
        pytest.param(OBJECT, {"a": {}}, {"a": {"x": 1, "y": 2}}, id="an object is completed"),
        pytest.param(
            OBJECT,
            {"a": {"x": 9, "deep": {}}},
            {"a": {"x": 9, "y": 2, "deep": {"z": 3}}},
            id="at any depth",
        ),
        pytest.param(
            OBJECT | {"default": {"x": 7}},
            {},
            {"a": {"x": 7, "y": 2}},
            id="its own default comes first",
        ),
        pytest.param(OBJECT, {"a": None}, {"a": None}, id="null stays"),
        pytest.param(OBJECT, {"a": "text"}, {"a": "text"}, id="a wrong value stays"),
        pytest.param(
            field(
                "array",
                "json",
                items={"type": "object", "properties": {"x": {"type": "integer", "default": 1}}},
            ),
            {"a": [{}, {"x": 2}, 5]},
            {"a": [{"x": 1}, {"x": 2}, 5]},
            id="items are completed",
        ),
    ],
)
def test_defaults_of_parts_apply_inside_objects(
    spec: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]
):
    assert schema({"a": spec}).apply_defaults(given) == expected


def test_defaults_change_neither_the_input_nor_the_schema():
    used = schema({"a": OBJECT, "b": field("array", "json", default=[{"n": 1}])})
    document, given = copy.deepcopy(used.document), {"a": {"deep": {}}}

    first = used.apply_defaults(given)
    first["b"][0]["n"] = 2
    first["a"]["deep"]["z"] = 9

    assert given == {"a": {"deep": {}}}
    assert used.document == document
    assert used.apply_defaults(given)["b"] == [{"n": 1}]


def test_secret_and_resource_fields_are_known_by_name():
    used = schema(
        {
            "plain": field("boolean"),
            "token": field("string", "textfield", isSecret=True),
            "source": field(
                "string", resourceType="dataset", resourcePermissions=["READ", "WRITE"]
            ),
            "tools": field(
                "array", resourceType="mcpConnector", mcpServers=[{"url": "https://x.example"}]
            ),
        }
    )

    assert used.secret_fields.keys() == {"token"}
    assert used.resource_fields == {
        "source": ResourceField("dataset", ("READ", "WRITE")),
        "tools": ResourceField("mcpConnector"),
    }


def test_the_plain_json_schema_says_what_others_understand():
    plain = schema(
        {
            "a": field(
                "string",
                "textfield",
                pattern="^[\\w-.]$",
                nullable=True,
                prefill="x",
                sectionCaption="S",
            ),
            "b": field("array", resourceType="dataset", minItems=1),
            "c": field(
                "object",
                "json",
                properties={"d": {"type": "integer", "editor": "number", "default": 1}},
            ),
        },
        required=["a"],
        description="What it needs",
    ).to_json_schema()

    described = {"title": "Title", "description": "Words"}
    assert plain == {
        "title": "Input",
        "description": "What it needs",
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {
                "type": ["string", "null"],
                "pattern": "^[\\w-.]$",
                "examples": ["x"],
                **described,
            },
            "b": {"type": "array", "items": {"type": "string"}, "minItems": 1, **described},
            "c": {
                "type": "object",
                "properties": {"d": {"type": "integer", "default": 1}},
                **described,
            },
        },
    }


def test_an_input_too_deep_to_check_is_refused():
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"a": deep}

    assert "too deeply nested" in complaint(field("boolean"), deep)
