"""Accounts: who one is, what one may use and has used."""

import pytest

from tests.actors import ActorMaker
from tests.server import Client


async def test_limits_count_what_the_account_has(api: Client, actors: ActorMaker):
    await actors.create({"main.sh": ""})
    limits = (await api.get("/v2/users/me/limits")).data
    assert limits["current"]["actorCount"] == 1
    assert limits["current"]["activeActorJobCount"] == 0
    assert limits["limits"]["dataRetentionDays"] == 7


async def test_an_account_can_set_its_own_limits(api: Client, other: Client):
    change = {"dataRetentionDays": 30, "maxMonthlyUsageUsd": 12.5}
    reply = await api.put("/v2/users/me/limits", json=change)
    assert (reply.status, reply.json) == (201, {})
    limits = (await api.get("/v2/users/me/limits")).data["limits"]
    assert {name: limits[name] for name in change} == change
    assert (await other.get("/v2/users/me/limits")).data["limits"]["dataRetentionDays"] == 7


async def test_a_retention_of_no_days_is_refused(api: Client):
    reply = await api.put("/v2/users/me/limits", json={"dataRetentionDays": 0})
    assert (reply.status, reply.error["type"]) == (400, "invalid-value")


async def test_usage_is_counted_by_service_and_day(api: Client):
    dataset = (await api.post("/v2/datasets")).data
    await api.post(f"/v2/datasets/{dataset['id']}/items", json=[{"n": 1}, {"n": 2}])
    usage = (await api.get("/v2/users/me/usage/monthly")).data
    assert usage["monthlyServiceUsage"]["DATASET_WRITES"]["quantity"] == 2
    (day,) = usage["dailyServiceUsages"]
    assert day["serviceUsage"]["DATASET_WRITES"]["quantity"] == 2
    assert usage["usageCycle"]["startAt"] <= day["date"] <= usage["usageCycle"]["endAt"]


async def test_the_date_chooses_the_month(api: Client):
    reply = await api.get("/v2/users/me/usage/monthly", params={"date": "2024-02-10"})
    assert reply.data["usageCycle"] == {
        "startAt": "2024-02-01T00:00:00.000Z",
        "endAt": "2024-02-29T23:59:59.999Z",
    }
    assert reply.data["dailyServiceUsages"] == []


async def test_dates_out_of_reason_are_refused(api: Client):
    for date in ("9999-12-31", "0001-01-01T00:00:00+10:00", "yesterday"):
        reply = await api.get("/v2/users/me/usage/monthly", params={"date": date})
        assert reply.status == 400, date


async def test_anyone_may_look_up_a_user(api: Client, other: Client):
    reply = await other.get(f"/v2/users/{api.username}", token=None)
    assert reply.data["username"] == api.username
    assert "email" not in reply.data


async def test_an_unknown_user_is_not_found(api: Client):
    assert (await api.get("/v2/users/nobody-of-that-name")).error["type"] == "user-not-found"


async def test_builds_are_used_compute_units(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    build = (await api.get(f"/v2/acts/{actor['id']}/builds")).data["items"][0]["id"]
    units = (await api.get(f"/v2/actor-builds/{build}")).data["stats"]["computeUnits"]
    usage = (await api.get("/v2/users/me/usage/monthly")).data
    used = usage["monthlyServiceUsage"]["ACTOR_COMPUTE_UNITS"]["quantity"]
    assert used == pytest.approx(units) and units > 0
