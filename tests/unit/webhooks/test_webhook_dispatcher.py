import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import Connection, update
from tests.receivers import answer, never

from callboard.core import clock
from callboard.core.clock import iso
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import webhook_dispatches
from callboard.webhooks import repository
from callboard.webhooks.model import DispatchStatus
from callboard.webhooks.service import wake_dispatcher

from .conftest import Listen, Post, run_event


async def test_an_event_is_posted_with_the_default_payload(post: Post, listen: Listen) -> None:
    receiver = await listen()
    webhook_id = await post.webhook(receiver.url + "/hook?key=1")
    event = run_event()
    await post.start()
    assert await post.publish(event) == 1
    [received] = await receiver.until(1)
    assert received.path == "/hook?key=1"
    assert json.loads(received.body) == {
        "userId": event.user_id,
        "createdAt": iso(event.created_at),
        "eventType": "ACTOR.RUN.SUCCEEDED",
        "eventData": event.event_data,
        "resource": event.resource,
    }
    [dispatch] = await post.until_finished()
    assert (dispatch.status, dispatch.webhook_id) == (DispatchStatus.SUCCEEDED, webhook_id)
    assert received.headers["x-apify-webhook-dispatch-id"] == dispatch.id
    [call] = dispatch.calls
    assert (call.response_status, call.response_body, call.error_message) == (200, "thanks", None)
    assert call.started_at <= call.finished_at


async def test_what_was_published_before_the_start_is_sent(post: Post, listen: Listen) -> None:
    receiver = await listen()
    await post.webhook(receiver.url)
    await post.publish()
    await post.start()
    await receiver.until(1)


async def test_a_refused_event_is_posted_again_until_it_is_accepted(
    post: Post, listen: Listen
) -> None:
    receiver = await listen(answer(500, "no"), answer(404), answer(204))
    await post.webhook(receiver.url)
    await post.start()
    await post.publish()
    [dispatch] = await post.until_finished()
    assert dispatch.status is DispatchStatus.SUCCEEDED
    assert [call.response_status for call in dispatch.calls] == [500, 404, 204]
    assert dispatch.calls[0].response_body == "no"
    assert dispatch.calls[0].error_message == "The receiver answered with status 500."
    assert (
        len({received.headers["x-apify-webhook-dispatch-id"] for received in receiver.received})
        == 1
    )


async def test_a_dispatch_is_given_up_after_eleven_retries(post: Post, listen: Listen) -> None:
    receiver = await listen(answer(500))
    webhook_id = await post.webhook(receiver.url)
    await post.start(retry_unit=timedelta(microseconds=20))
    await post.publish()
    [dispatch] = await post.until_finished()
    assert dispatch.status is DispatchStatus.FAILED
    assert len(receiver.received) == len(dispatch.calls) == 12
    webhook = await post.db.read(lambda tx: repository.by_id(tx, webhook_id))
    assert webhook is not None and webhook.last_dispatch is not None
    assert webhook.last_dispatch.status is DispatchStatus.FAILED
    assert webhook.last_dispatch.finished_at == dispatch.calls[-1].finished_at


@pytest.mark.parametrize("attempts", [1, 2, 11])
async def test_each_delay_is_twice_the_one_before(
    post: Post, listen: Listen, attempts: int
) -> None:
    receiver = await listen(answer(500))
    await post.webhook(receiver.url)
    await post.publish()
    [dispatch] = await post.dispatches()
    await post.db.write(lambda tx: _pretend_attempts(tx, dispatch.id, attempts - 1))
    await post.start(retry_unit=timedelta(minutes=1))
    await _until_attempts(post, attempts)
    [dispatch] = await post.dispatches()
    assert dispatch.status is DispatchStatus.ACTIVE
    delay = (dispatch.next_attempt_at or dispatch.created_at) - dispatch.calls[-1].finished_at
    assert delay == timedelta(minutes=2 ** (attempts - 1))


def _pretend_attempts(tx: Connection, dispatch_id: str, attempts: int) -> None:
    tx.execute(
        update(webhook_dispatches)
        .where(webhook_dispatches.c.id == dispatch_id)
        .values(attempts=attempts)
    )


async def _until_attempts(post: Post, attempts: int) -> None:
    async with asyncio.timeout(10), post.signals.listen("webhook-dispatches") as listener:
        while (await post.dispatches())[0].attempts < attempts:
            await listener.wait()


async def test_do_not_retry_stops_after_one_call(post: Post, listen: Listen) -> None:
    receiver = await listen(answer(503))
    await post.webhook(receiver.url, do_not_retry=True)
    await post.start()
    await post.publish()
    [dispatch] = await post.until_finished()
    assert (dispatch.status, len(receiver.received)) == (DispatchStatus.FAILED, 1)


async def test_a_call_cut_off_by_a_stop_is_made_again_by_the_next_server(
    post: Post, listen: Listen, tmp_path: Path
) -> None:
    receiver = await listen(never, answer(200))
    await post.webhook(receiver.url)
    await post.start()
    await post.publish()
    await receiver.until(1)
    await post.stop()
    await post.db.close()

    restarted = Post(SqliteDatabase(tmp_path / "callboard.db"))
    await restarted.start()
    await receiver.until(2)
    [dispatch] = await restarted.until_finished()
    assert dispatch.status is DispatchStatus.SUCCEEDED
    await restarted.stop()
    await restarted.db.close()


async def test_a_retry_that_came_due_while_the_server_was_down_is_made_at_its_start(
    post: Post, listen: Listen
) -> None:
    receiver = await listen(answer(500), answer(200))
    await post.webhook(receiver.url)
    await post.start(retry_unit=timedelta(milliseconds=100))
    await post.publish()
    await _until_attempts(post, 1)
    await post.stop()
    await asyncio.sleep(0.11)
    await post.start()
    [dispatch] = await post.until_finished()
    assert (dispatch.status, dispatch.attempts) == (DispatchStatus.SUCCEEDED, 2)


async def test_a_receiver_that_never_answers_fails_the_call_in_time(
    post: Post, listen: Listen
) -> None:
    receiver = await listen(never)
    await post.webhook(receiver.url, do_not_retry=True)
    await post.start(timeout_secs=0.05)
    await post.publish()
    [dispatch] = await post.until_finished()
    assert dispatch.calls[0].error_message == "The receiver did not answer within 0.05 seconds."
    assert dispatch.calls[0].response_status is None


async def test_a_receiver_that_is_not_there_fails_the_call(post: Post, listen: Listen) -> None:
    await post.webhook("http://127.0.0.1:1/", do_not_retry=True)
    await post.start()
    await post.publish()
    [dispatch] = await post.until_finished()
    assert dispatch.status is DispatchStatus.FAILED
    assert "Cannot connect to host 127.0.0.1:1" in (dispatch.calls[0].error_message or "")


async def test_a_receiver_that_hangs_does_not_hold_up_others(post: Post, listen: Listen) -> None:
    stuck, quick = await listen(never), await listen()
    await post.webhook(stuck.url)
    await asyncio.gather(*(post.publish() for _ in range(300)))
    await post.webhook(quick.url)
    await post.publish()
    await post.start()
    await quick.until(1)
    assert len(await stuck.until(8)) == 8


async def test_an_endless_answer_is_kept_in_part(post: Post, listen: Listen) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)

    receiver = await listen(endless)
    await post.webhook(receiver.url)
    await post.start()
    await post.publish()
    [dispatch] = await post.until_finished()
    assert dispatch.status is DispatchStatus.SUCCEEDED
    assert dispatch.calls[0].response_body == "x" * 8192


async def test_deleting_a_webhook_ends_its_retries(post: Post, listen: Listen) -> None:
    receiver = await listen(answer(500))
    webhook_id = await post.webhook(receiver.url)
    await post.start(retry_unit=timedelta(hours=1))
    await post.publish()
    await _until_attempts(post, 1)
    await post.db.write(lambda tx: repository.delete_webhook(tx, webhook_id))
    [dispatch] = await post.until_finished()
    assert dispatch.status is DispatchStatus.FAILED
    assert len(dispatch.calls) == 1


async def test_a_webhook_deleted_during_a_call_stays_given_up(post: Post, listen: Listen) -> None:
    proceed = asyncio.Event()

    async def late(_request: web.Request) -> web.Response:
        await proceed.wait()
        return web.Response(status=500)

    receiver = await listen(late)
    webhook_id = await post.webhook(receiver.url)
    await post.start()
    await post.publish()
    await receiver.until(1)
    await post.db.write(lambda tx: repository.delete_webhook(tx, webhook_id))
    proceed.set()
    await _until_attempts(post, 1)
    [dispatch] = await post.dispatches()
    assert (dispatch.status, dispatch.next_attempt_at) == (DispatchStatus.FAILED, None)
    assert dispatch.calls[0].response_status == 500


async def test_a_clock_that_is_set_back_puts_off_no_call(
    post: Post, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await listen(answer(500), answer(200))
    await post.webhook(receiver.url)
    true_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: true_now() + timedelta(days=1))
    await post.start(retry_unit=timedelta(seconds=1))
    await post.publish()
    await receiver.until(1)
    await _until_attempts(post, 1)
    monkeypatch.setattr(clock, "now", true_now)
    wake_dispatcher(post.signals)
    await receiver.until(2)


async def test_a_call_that_was_due_before_the_clock_was_set_back_is_made_at_the_start(
    post: Post, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await listen()
    await post.webhook(receiver.url)
    true_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: true_now() + timedelta(days=1))
    await post.publish()
    monkeypatch.setattr(clock, "now", true_now)
    await post.start()
    await receiver.until(1)
