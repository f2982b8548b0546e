import json
from datetime import UTC, datetime

import pytest

from callboard.webhooks import templates
from callboard.webhooks.errors import InvalidTemplate
from callboard.webhooks.model import EventType

VALUES = templates.variables(
    user_id="user1",
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
    event_type=EventType.RUN_SUCCEEDED,
    event_data={"actorId": "actor1", "actorRunId": "run1"},
    resource={
        "id": "run1",
        "exitCode": 0,
        "stats": {"x_y": 1.5},
        "items": ["a", "b"],
        "say": 'a "b"',
    },
)


def payload(template: str, *, interpolate: bool = False) -> object:
    return json.loads(templates.render_payload(template, VALUES, interpolate=interpolate))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param('{"a": {{userId}}}', {"a": "user1"}, id="text"),
        pytest.param('{"a": {{ userId }}}', {"a": "user1"}, id="spaces"),
        pytest.param('{"a":{"b":{{eventData}}}}', {"a": {"b": VALUES["eventData"]}}, id="object"),
        pytest.param("[{{resource.stats.x_y}}]", [1.5], id="nested property"),
        pytest.param("[{{resource.items.1}}]", ["b"], id="item of a list"),
        pytest.param("[{{resource.say}}]", ['a "b"'], id="quotes are escaped"),
        pytest.param("[{{resource.exitCode}}]", [None], id="falsy becomes null"),
        pytest.param("[{{resource.nothing.at.all}}]", [None], id="missing becomes null"),
        pytest.param("[{{userId.length}}]", [None], id="property of a text"),
        pytest.param("[{{globals.dateISO}}]", ["2026-01-02T03:04:05.678Z"], id="date"),
        pytest.param("[{{globals.dateUnix}}]", [1767323045], id="unix date"),
        pytest.param('["{{userId}}"]', ["{{userId}}"], id="strings are left alone"),
        pytest.param(r'["\"{{userId}}"]', ['"{{userId}}'], id="an escaped quote ends no string"),
        pytest.param(
            '{"{{userId}}": {{userId}}}', {"{{userId}}": "user1"}, id="keys are left alone"
        ),
        pytest.param("{{eventType}}", "ACTOR.RUN.SUCCEEDED", id="nothing but a variable"),
    ],
)
def test_variables_outside_of_strings_become_json(template: str, expected: object) -> None:
    assert payload(template) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param('["{{eventData}}"]', [VALUES["eventData"]], id="whole string"),
        pytest.param('["{{resource.exitCode}}"]', [0], id="whole string keeps falsy values"),
        pytest.param('["run {{resource.id}} of {{userId}}"]', ["run run1 of user1"], id="parts"),
        pytest.param('["exit {{resource.exitCode}}"]', ["exit 0"], id="number in text"),
        pytest.param('["{{resource.none}}!"]', ["null!"], id="missing in text"),
        pytest.param('{"a": {"b": ["{{userId}}"]}}', {"a": {"b": ["user1"]}}, id="nested"),
        pytest.param('["{{userId}}", {{userId}}]', ["user1", "user1"], id="both kinds"),
    ],
)
def test_variables_inside_strings_are_filled_in_on_request(template: str, expected: object) -> None:
    assert payload(template, interpolate=True) == expected


def test_a_value_is_not_taken_for_a_template() -> None:
    values = {**VALUES, "resource": {"say": "{{userId}}"}}
    rendered = templates.render_payload('["x {{resource.say}}"]', values, interpolate=True)
    assert json.loads(rendered) == ["x {{userId}}"]


def test_the_default_payload_has_the_five_variables() -> None:
    rendered = templates.render_payload(None, VALUES, interpolate=False)
    assert json.loads(rendered) == {
        name: VALUES[name] for name in ("userId", "createdAt", "eventType", "eventData", "resource")
    }


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("[{{secret}}]", id="unknown variable"),
        pytest.param("[{{user-id}}]", id="unknown name"),
        pytest.param("[{{}}]", id="no name"),
        pytest.param('{"a": {{userId}', id="variable without an end"),
        pytest.param('{"a": }', id="not JSON"),
        pytest.param('{"a": "{{userId}}', id="string without an end"),
        pytest.param("", id="empty"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("{" * 200_000, id="braces"),
        pytest.param('"' + '\\"' * 100_000, id="escaped quotes"),
    ],
)
def test_a_payload_template_that_cannot_work_is_refused(template: str) -> None:
    with pytest.raises(InvalidTemplate, match="payloadTemplate"):
        templates.check(template, None, interpolate=False)


def test_an_unknown_variable_in_a_string_is_refused_when_strings_are_interpolated() -> None:
    templates.check('["{{name}}"]', None, interpolate=False)
    with pytest.raises(InvalidTemplate, match="unknown variable"):
        templates.check('["Dear {{name}}"]', None, interpolate=True)


@pytest.mark.parametrize("interpolate", [False, True])
def test_a_payload_cannot_be_blown_up(interpolate: bool) -> None:
    values = {**VALUES, "resource": {"text": "x" * 100_000}}
    item = '"{{resource}}"' if interpolate else "{{resource}}"
    template = "[" + ",".join([item] * 1000) + "]"
    with pytest.raises(InvalidTemplate, match="grows beyond"):
        templates.render_payload(template, values, interpolate=interpolate)


@pytest.mark.parametrize(
    ("template", "interpolate", "expected"),
    [
        pytest.param('{"A": "b"}', False, {"A": "b"}, id="plain"),
        pytest.param('{"A": {{userId}}}', False, {"A": "user1"}, id="variable"),
        pytest.param('{"A": "Bearer {{userId}}"}', True, {"A": "Bearer user1"}, id="interpolated"),
        pytest.param('{"A": {{globals.dateUnix}}}', False, {"A": "1767323045"}, id="number"),
        pytest.param('{"A": {{resource.none}}}', False, {}, id="null is left out"),
    ],
)
def test_headers_come_from_their_template(
    template: str, interpolate: bool, expected: dict[str, str]
) -> None:
    assert templates.render_headers(template, VALUES, interpolate=interpolate) == expected


@pytest.mark.parametrize("template", ['["a"]', '"a"', "null", '{"a": {}}', '{"a": ["b"]}'])
def test_headers_must_be_an_object_of_texts(template: str) -> None:
    with pytest.raises(InvalidTemplate, match="headersTemplate"):
        templates.check(None, template, interpolate=False)
