"""What a call carries, and where it may go."""

import datetime
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.receivers import answer

from callboard.webhooks.model import Dispatch, DispatchStatus

from .conftest import Listen, Post


async def send(post: Post, url: str, **options: object) -> Dispatch:
    """One call to `url`, and what became of it."""
    dispatcher = {
        name: options.pop(name)
        for name in ("allow_private", "own_urls", "token_for")
        if name in options
    }
    await post.webhook(url, do_not_retry=True, **options)
    await post.start(**dispatcher)
    await post.publish()
    [dispatch] = await post.until_finished()
    return dispatch


async def test_templates_make_the_payload_and_the_headers(post: Post, listen: Listen) -> None:
    receiver = await listen()
    await send(
        post,
        receiver.url,
        payload_template='{"run": {{resource.id}}, "text": "It {{resource.status}}"}',
        headers_template='{"Authorization": "Bearer s3", "X-Run": "{{eventData.actorRunId}}"}',
        should_interpolate_strings=True,
    )
    [received] = receiver.received
    assert json.loads(received.body) == {"run": "run1", "text": "It SUCCEEDED"}
    assert received.headers["authorization"] == "Bearer s3"
    assert received.headers["x-run"] == "run1"


async def test_the_platforms_headers_cannot_be_replaced(post: Post, listen: Listen) -> None:
    receiver = await listen()
    names = ["HOST", "content-type", "X-Apify-Webhook", "x-apify-webhook-dispatch-id"]
    names += ["X-Apify-Request-Origin", "Content-Length", "Transfer-Encoding", "Connection"]
    template = json.dumps(dict.fromkeys(names, "mine"))
    dispatch = await send(post, receiver.url, headers_template=template)
    headers = receiver.received[0].headers
    assert headers["host"] == receiver.url.removeprefix("http://")
    assert headers["content-type"] == "application/json"
    assert headers["x-apify-webhook"] == "1"
    assert headers["x-apify-webhook-dispatch-id"] == dispatch.id
    assert headers["x-apify-request-origin"] == "WEBHOOK"
    assert "mine" not in headers.values()


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(r'{"X-A": "a\r\nX-B: b"}', id="line break in a value"),
        pytest.param(r'{"X-A\r\nX-B": "b"}', id="line break in a name"),
        pytest.param('{"X A": "b"}', id="space in a name"),
        pytest.param(r'{"X-A": "\u0000"}', id="null"),
    ],
)
async def test_a_header_that_cannot_be_sent_fails_the_call(
    post: Post, listen: Listen, template: str
) -> None:
    receiver = await listen()
    dispatch = await send(post, receiver.url, headers_template=template)
    assert receiver.received == []
    assert "not a header that can be sent" in (dispatch.calls[0].error_message or "")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_repeats_the_post(post: Post, listen: Listen, status: int) -> None:
    receiver = await listen(answer(status, Location="/moved?a=1"), answer(200))
    dispatch = await send(post, receiver.url + "/old")
    first, second = receiver.received
    assert second.path == "/moved?a=1"
    assert second.body == first.body != b""
    assert dispatch.status is DispatchStatus.SUCCEEDED


async def test_see_other_is_no_acceptance(post: Post, listen: Listen) -> None:
    receiver = await listen(answer(303, Location="/page"), answer(200))
    dispatch = await send(post, receiver.url)
    assert len(receiver.received) == 1
    assert dispatch.calls[0].response_status == 303
    assert dispatch.status is DispatchStatus.FAILED


async def test_redirects_in_a_circle_end(post: Post, listen: Listen) -> None:
    receiver = await listen(answer(307, Location="/again"))
    dispatch = await send(post, receiver.url)
    assert len(receiver.received) == 6
    assert dispatch.calls[0].error_message == "The receiver redirected more than 5 times."


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", id="metadata"),
        pytest.param("http://[::ffff:169.254.169.254]/", id="metadata in IPv6"),
        pytest.param("http://0.0.0.0:1/", id="this host"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("http://[::1", id="broken"),
    ],
)
async def test_a_redirect_to_a_forbidden_place_is_refused(
    post: Post, listen: Listen, location: str
) -> None:
    receiver = await listen(answer(307, Location=location))
    dispatch = await send(post, receiver.url)
    assert dispatch.status is DispatchStatus.FAILED
    assert dispatch.calls[0].response_status is None
    assert dispatch.calls[0].error_message


async def test_another_place_does_not_get_the_users_headers(post: Post, listen: Listen) -> None:
    elsewhere = await listen()
    receiver = await listen(answer(307, Location=elsewhere.url))
    template = '{"Authorization": "Bearer s3", "X-Secret": "s4"}'
    dispatch = await send(post, receiver.url, headers_template=template)
    assert receiver.received[0].headers["x-secret"] == "s4"
    [received] = elsewhere.received
    assert not {"authorization", "x-secret"} & set(received.headers)
    assert received.headers["x-apify-webhook-dispatch-id"] == dispatch.id


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_private_addresses_are_refused_however_they_are_written(
    post: Post, listen: Listen, host: str
) -> None:
    receiver = await listen()
    url = receiver.url.replace("127.0.0.1", host)
    dispatch = await send(post, url, allow_private=False)
    assert receiver.received == []
    assert "webhooks may not reach this address" in (dispatch.calls[0].error_message or "")


async def test_the_platforms_own_api_gets_the_users_token(post: Post, listen: Listen) -> None:
    own = await listen()
    await send(
        post,
        own.url + "/v2/actors/a/runs",
        allow_private=False,
        own_urls=[own.url],
        token_for=lambda user_id: f"token-of-{user_id}",
    )
    assert own.received[0].headers["authorization"] == f"Bearer token-of-{post.user_id}"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/v2/actors?token=mine", None, id="token in the URL"),
        pytest.param("/v2/actors", '{"authorization": "Bearer mine"}', id="own header"),
        pytest.param("/other", None, id="not the API"),
    ],
)
async def test_the_token_is_added_only_where_it_is_missing(
    post: Post, listen: Listen, path: str, headers: str | None
) -> None:
    own = await listen()
    await send(
        post,
        own.url + path,
        headers_template=headers,
        own_urls=[own.url],
        token_for=lambda _user_id: "added",
    )
    assert "added" not in own.received[0].headers.get("authorization", "")


async def test_a_receiver_cannot_redirect_to_the_own_api_with_the_users_token(
    post: Post, listen: Listen
) -> None:
    own = await listen()
    receiver = await listen(answer(307, Location=own.url + "/v2/actors"))
    await send(post, receiver.url, own_urls=[own.url], token_for=lambda _user_id: "added")
    assert "authorization" not in own.received[0].headers


async def test_credentials_in_the_url_are_sent(post: Post, listen: Listen) -> None:
    receiver = await listen()
    await send(post, receiver.url.replace("//", "//user:pass@"))
    assert receiver.received[0].headers["authorization"] == "Basic dXNlcjpwYXNz"


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    certificate = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("ignore", [False, True])
async def test_certificates_are_checked_unless_told_otherwise(
    post: Post, listen: Listen, self_signed: ssl.SSLContext, ignore: bool
) -> None:
    receiver = await listen(ssl_context=self_signed)
    dispatch = await send(post, receiver.url, ignore_ssl_errors=ignore)
    assert len(receiver.received) == ignore
    assert (dispatch.status is DispatchStatus.SUCCEEDED) is ignore
    if not ignore:
        assert "certificate" in (dispatch.calls[0].error_message or "").lower()
