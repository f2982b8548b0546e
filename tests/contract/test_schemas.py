"""That the other tests here would notice: replies that are wrong are found to be."""

import json
from typing import Any

import pytest

from tests.contract.schemas import Operation, problems_of
from tests.server import Reply

LIMITS = Operation("GET", "/v2/users/me/limits")
USER = Operation("GET", "/v2/users/{userId}")


def reply(body: Any, *, status: int = 200, media_type: str = "application/json") -> Reply:
    return Reply(
        status, {"Content-Type": f"{media_type}; charset=utf-8"}, json.dumps(body).encode()
    )


def test_a_right_reply_has_no_problems():
    assert problems_of(USER, reply({"data": {"username": "me"}})) == []


@pytest.mark.parametrize(
    "wrong",
    [
        reply({"data": {}}),
        reply({"username": "me"}),
        reply({"data": {"username": 1}}),
        reply({"data": {"username": "me", "profile": {"pictureUrl": "no url"}}}),
        reply({"data": {"username": "me"}}, media_type="text/html"),
        reply({"data": {"username": "me"}}, status=299),
        reply({"error": {"type": 1, "message": "text"}}, status=404),
    ],
)
def test_a_wrong_reply_is_noticed(wrong: Reply):
    assert problems_of(USER, wrong)


def test_dates_are_looked_at():
    cycle = {"startAt": "yesterday", "endAt": "2026-01-01T00:00:00.000Z"}
    problems = problems_of(LIMITS, reply({"data": {"monthlyUsageCycle": cycle}}))
    assert any("startAt" in problem for problem in problems)
    assert not any("endAt" in problem for problem in problems)


def test_no_content_means_no_content():
    deleted = Operation("DELETE", "/v2/datasets/{datasetId}")
    assert problems_of(deleted, Reply(204, {}, b"")) == []
    assert problems_of(deleted, Reply(204, {}, b"{}"))
