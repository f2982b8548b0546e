import json
from typing import Any

import pytest

from callboard.inputs.input_schema import InvalidInputSchema, check_schema, parse_schema


def field(kind: str | list[str], editor: str | None = None, **more: Any) -> dict[str, Any]:
    described = {"type": kind, "title": "Title", "description": "Words"}
    return described | ({"editor": editor} if editor else {}) | more


def root(properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    fixed = {"title": "Input", "type": "object", "schemaVersion": 1}
    return fixed | {"properties": properties or {}} | more


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in root().items() if name != key}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(root(), id="empty"),
        pytest.param(
            root({"a": field("string", "textfield")}, required=["a"], additionalProperties=False),
            id="required",
        ),
        pytest.param(
            root({}, **{"$schema": "https://example.com/s", "description": "Words"}), id="root-keys"
        ),
        pytest.param(root({"a": field("string", enum=["x", "y"])}), id="enum-means-select"),
        pytest.param(
            root({"a": field("string", "select", enumSuggestedValues=["x"])}), id="suggested"
        ),
        pytest.param(root({"a": field("string", "datepicker", dateType="relative")}), id="date"),
        pytest.param(
            root({"a": field("integer", minimum=1, maximum=5.0, unit="pages")}), id="integer"
        ),
        pytest.param(root({"a": field("number", "hidden", default=1.5)}), id="number"),
        pytest.param(root({"a": field("boolean", groupCaption="G", default=False)}), id="boolean"),
        pytest.param(root({"a": field("integer", default=None, nullable=True)}), id="null-default"),
        pytest.param(root({"a": field(["string", "object"], "json", default={})}), id="any"),
        pytest.param(
            root({"a": field("object", "proxy", prefill={"useApifyProxy": True})}), id="proxy"
        ),
        pytest.param(root({"a": field("object", "json", isSecret=True)}), id="secret"),
        pytest.param(
            root({"a": field("array", "keyValue", patternKey="^a", patternValue="b$")}),
            id="old-patterns",
        ),
        pytest.param(
            root(
                {
                    "a": field(
                        "array",
                        "resourcePicker",
                        resourceType="dataset",
                        resourcePermissions=["READ"],
                    )
                }
            ),
            id="resource",
        ),
        pytest.param(
            root(
                {
                    "a": field(
                        "string",
                        resourceType="mcpConnector",
                        mcpServers=[{"url": "https://x.example"}],
                    )
                }
            ),
            id="connector",
        ),
        pytest.param(
            root(
                {
                    "a": field(
                        "object",
                        "schemaBased",
                        properties={"b": {"type": "array", "items": {"type": "string"}}},
                    )
                }
            ),
            id="nested",
        ),
        pytest.param(
            root({"a": field("string", "textfield", placeholder="?", order=3)}),
            id="unknown-keywords",
        ),
        pytest.param(
            root({"a": field("string", "textfield", required=True)}), id="required-as-keyword"
        ),
    ],
)
def test_schemas_that_keep_the_rules_pass(schema: dict[str, Any]):
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param([], "must be a JSON object", id="not-object"),
        pytest.param(without("title"), "Field schema.title is required", id="title"),
        pytest.param(without("type"), "Field schema.type is required", id="type"),
        pytest.param(without("properties"), "Field schema.properties is required", id="properties"),
        pytest.param(
            without("schemaVersion"), "Field schema.schemaVersion is required", id="version"
        ),
        pytest.param(root(schemaVersion=2), "schema.schemaVersion must be 1", id="version-2"),
        pytest.param(root(schemaVersion=True), "schema.schemaVersion must be 1", id="version-true"),
        pytest.param(
            root(type="array"), "Field schema.type must be equal to one of", id="root-type"
        ),
        pytest.param(root(oneOf=[]), "Property schema.oneOf is not allowed.", id="root-key"),
        pytest.param(root(title=5), "Field schema.title must be string", id="title-number"),
        pytest.param(
            {**root(), "properties": []},
            "Field schema.properties must be object",
            id="property-list",
        ),
        pytest.param(
            root(additionalProperties={}),
            "schema.additionalProperties must be boolean",
            id="additional",
        ),
        pytest.param(
            root(required="a"), "schema.required must be an array of strings", id="required-text"
        ),
        pytest.param(
            root(required=["x"]), "Field schema.properties.x does not exist", id="required-unknown"
        ),
    ],
)
def test_a_schema_whose_root_breaks_a_rule_is_refused_by_name(schema: object, words: str):
    with pytest.raises(InvalidInputSchema) as refused:
        check_schema(schema)

    assert words in refused.value.message
    assert refused.value.message.startswith("Input schema is not valid (")
    assert (refused.value.status, refused.value.type) == (400, "invalid-input-schema")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param("string", "a must be object", id="not-object"),
        pytest.param({"title": "T", "description": "D"}, "a.type is required", id="no-type"),
        pytest.param(field("file"), "a is not matching any input schema type", id="unknown-type"),
        pytest.param(field([]), "a.type must list types", id="no-types"),
        pytest.param(
            field(["string", "file"], "json"), "a.type must list types", id="unknown-types"
        ),
        pytest.param(
            field(["string", "string"], "json"), "a.type must NOT have duplicate", id="same-types"
        ),
        pytest.param(
            {"type": "boolean", "title": "T"}, "a.description is required", id="no-description"
        ),
        pytest.param({"type": "boolean", "description": ""}, "a.title is required", id="no-title"),
        pytest.param(field("string"), "a.editor is required", id="no-editor"),
        pytest.param(field("array"), "a.editor is required", id="no-editor-array"),
        pytest.param(field("string", "checkbox"), "a.editor must be equal to one of", id="editor"),
        pytest.param(
            field("boolean", "number"), "a.editor must be equal to one of", id="editor-boolean"
        ),
        pytest.param(field("string", "select"), "needs enum or enumSuggestedValues", id="select"),
        pytest.param(field("string", enum=[]), "a.enum must be a non-empty array", id="enum-empty"),
        pytest.param(
            field("string", enum=["x", "x"]),
            "a.enum must be a non-empty array of unique",
            id="enum-twice",
        ),
        pytest.param(
            field("string", enum=[1]),
            "a.enum must be a non-empty array of unique strings",
            id="enum-number",
        ),
        pytest.param(
            field("string", "textfield", minLength="1"),
            "a.minLength must be integer >= 0",
            id="length",
        ),
        pytest.param(
            field("string", "textfield", maxLength=-1),
            "a.maxLength must be integer >= 0",
            id="negative",
        ),
        pytest.param(
            field("string", "textfield", pattern=5), "a.pattern must be string", id="pattern-type"
        ),
        pytest.param(
            field("string", "datepicker", dateType="soon"),
            "a.dateType must be one of",
            id="date-type",
        ),
        pytest.param(field("integer", minimum=1.5), "a.minimum must be integer", id="minimum"),
        pytest.param(field("number", maximum="9"), "a.maximum must be number", id="maximum"),
        pytest.param(field("boolean", nullable="yes"), "a.nullable must be boolean", id="nullable"),
        pytest.param(
            field("boolean", sectionCaption=1), "a.sectionCaption must be string", id="caption"
        ),
        pytest.param(
            field("array", "json", uniqueItems=1), "a.uniqueItems must be boolean", id="unique"
        ),
        pytest.param(
            field("boolean", errorMessage="no"), "a.errorMessage must be an object", id="messages"
        ),
        pytest.param(field("integer", default="x"), "a.default must be integer", id="default"),
        pytest.param(
            field("integer", default=True), "a.default must be integer", id="default-boolean"
        ),
        pytest.param(
            field("integer", default=None), "a.default must be integer", id="default-null"
        ),
        pytest.param(field("array", "json", prefill={}), "a.prefill must be array", id="prefill"),
        pytest.param(
            field("boolean", isSecret=True),
            "a.isSecret is allowed only for types",
            id="secret-type",
        ),
        pytest.param(
            field("string", "select", enum=["a"], isSecret=True),
            "a.editor of a secret field",
            id="secret-editor",
        ),
        pytest.param(
            field("object", "proxy", isSecret=True), "a.editor of a secret field", id="secret-proxy"
        ),
        pytest.param(
            field("string", resourceType="disk"), "a.resourceType must be equal", id="resource"
        ),
        pytest.param(
            field("object", "json", resourceType="dataset"),
            "a.resourceType is allowed only",
            id="resource-type",
        ),
        pytest.param(
            field("string", resourceType="dataset", resourcePermissions=["WRITE"]),
            "a.resourcePermissions must be",
            id="write-only",
        ),
        pytest.param(
            field("string", resourceType="dataset", resourcePermissions=["READ"], default="x"),
            "a.default is not allowed together with resourcePermissions",
            id="permission-default",
        ),
        pytest.param(
            field("string", resourceType="mcpConnector"), "a.mcpServers must be", id="no-servers"
        ),
        pytest.param(
            field("object", "json", required=["x"], properties={}),
            "a.properties.x does not exist",
            id="sub-required",
        ),
        pytest.param(
            field("object", "json", properties=[]), "a.properties must be object", id="sub-list"
        ),
        pytest.param(
            field("object", "json", properties={"b": {"type": "file"}}),
            "a.properties.b is not matching",
            id="sub-type",
        ),
        pytest.param(
            field("object", "json", properties={"b": {"type": "string", "isSecret": True}}),
            "a.properties.b.isSecret is allowed only for fields of the input itself",
            id="sub-secret",
        ),
        pytest.param(field("array", "json", items=[]), "a.items must be object", id="items-list"),
        pytest.param(
            field("array", "json", items={"type": "string", "pattern": "("}),
            "a.items.pattern must be valid",
            id="items",
        ),
    ],
)
def test_a_property_that_breaks_a_rule_is_refused_by_name(spec: object, words: str):
    with pytest.raises(InvalidInputSchema) as refused:
        check_schema(root({"a": spec}))

    assert words in refused.value.message


def test_an_unsafe_expression_is_refused_with_its_field():
    with pytest.raises(
        InvalidInputSchema,
        match=r"\"\(a\+\)\+\$\" in field schema\.properties\.a\.pattern may cause",
    ):
        check_schema(root({"a": field("string", "textfield", pattern="(a+)+$")}))


def test_a_schema_of_up_to_500_kib_passes_and_a_larger_one_does_not():
    check_schema(root(description="x" * 500_000))
    with pytest.raises(InvalidInputSchema, match="larger than 512000 bytes"):
        check_schema(root(description="x" * 512_000))


def test_a_bottomless_schema_is_refused():
    spec: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        spec = {"type": "array", "items": spec}
    with pytest.raises(InvalidInputSchema, match="nested too deeply"):
        check_schema(root({"a": field("array", "json", items=spec)}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{'a': 1}", '"text"', '{"a": "\\ud800"}', "[" * 100_000],
    ids=range(8),
)
def test_text_that_is_no_schema_is_refused(text: str):
    with pytest.raises(InvalidInputSchema):
        parse_schema(text)


def test_the_same_text_is_parsed_once():
    text = json.dumps(root({"a": field("boolean")}))

    assert parse_schema(text) is parse_schema(text)
    assert parse_schema("\ufeff" + text).fields.keys() == {"a"}
