import base64
import json
from typing import Any

import pytest

from callboard.core.errors import ApiError
from callboard.webhooks.model import EventType
from callboard.webhooks.service import parse_ad_hoc

HOOK = {"eventTypes": ["ACTOR.RUN.SUCCEEDED"], "requestUrl": "http://example.com/"}


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("text", [None, ""])
def test_no_parameter_is_no_webhooks(text: str | None) -> None:
    assert parse_ad_hoc(text) == []


def test_ad_hoc_webhooks_are_read_with_all_their_options() -> None:
    options = {
        "payloadTemplate": '{"a": {{userId}}}',
        "headersTemplate": '{"A": "b"}',
        "shouldInterpolateStrings": True,
        "ignoreSslErrors": True,
        "doNotRetry": True,
        "idempotencyKey": "key",
    }
    [plain, full] = parse_ad_hoc(encoded([HOOK, HOOK | options]))
    assert plain.definition.event_types == (EventType.RUN_SUCCEEDED,)
    assert not plain.definition.do_not_retry and plain.idempotency_key is None
    assert full.definition.payload_template == '{"a": {{userId}}}'
    assert full.definition.headers_template == '{"A": "b"}'
    assert full.definition.should_interpolate_strings
    assert full.definition.ignore_ssl_errors and full.definition.do_not_retry
    assert full.idempotency_key == "key"


@pytest.mark.parametrize("spoil", [lambda t: t.rstrip("="), lambda t: t.replace("+", " ")])
@pytest.mark.parametrize("code", [base64.b64encode, base64.urlsafe_b64encode])
def test_all_forms_of_base64_are_read(code: Any, spoil: Any) -> None:
    url = "http://example.com/?q=~~~>>>???"
    text = spoil(code(json.dumps([HOOK | {"requestUrl": url}]).encode()).decode())
    assert parse_ad_hoc(text)[0].definition.request_url == url


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("%%%", id="not base64"),
        pytest.param("abcde", id="cut short"),
        pytest.param("Zm9v", id="not JSON"),
        pytest.param(base64.b64encode(b"\xff\xfe").decode(), id="not text"),
        pytest.param(encoded(HOOK), id="not an array"),
        pytest.param(encoded([1]), id="not an object"),
        pytest.param(encoded([{"requestUrl": "http://a.example"}]), id="without events"),
        pytest.param(encoded([HOOK | {"eventTypes": []}]), id="no events"),
        pytest.param(encoded([HOOK | {"eventTypes": ["ACTOR.RUN.DONE"]}]), id="unknown event"),
        pytest.param(encoded([HOOK | {"requestUrl": "ftp://a.example"}]), id="bad URL"),
        pytest.param(encoded([HOOK | {"payloadTemplate": "{{nope}}"}]), id="bad payload template"),
        pytest.param(encoded([HOOK | {"headersTemplate": "[]"}]), id="bad headers template"),
        pytest.param(encoded([HOOK] * 101), id="too many"),
    ],
)
def test_bad_ad_hoc_webhooks_are_an_invalid_value(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_ad_hoc(text)
    assert (caught.value.status, caught.value.type) == (400, "invalid-value")
