"""What is taken out of heads on their way, and what is added."""

from callboard.gateway.heads import Head, incoming, outgoing
from callboard.gateway.places import Kind, Place

BY_PATH = Place(Kind.ACTOR, "me~x", "/standby/actors/me~x")
BY_NAME = Place(Kind.NAME, "me--x")


def head(target: str = "/", *headers: tuple[str, str]) -> Head:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Head("GET", target.encode(), raw, "10.0.0.1", "https")


def test_tokens_are_found_in_header_and_query():
    one = head("/?a=1&token=b%2Bc&token=", ("authorization", "BEARER  d "))
    assert one.tokens() == ["d", "b+c"]
    assert head("/?tokens=1", ("authorization", "Basic d")).tokens() == []


def test_only_tokens_of_this_server_are_taken_out():
    one = head("/?a=%20&token=ours&token=theirs&b", ("authorization", "Bearer ours"))
    target, headers = outgoing(one, BY_NAME, secrets=["ours"])
    assert target == b"/?a=%20&token=theirs&b"
    assert b"authorization" not in dict(headers)


def test_a_query_of_nothing_but_a_token_leaves_no_question_mark():
    assert outgoing(head("/x?token=t"), BY_NAME, secrets=["t"])[0] == b"/x"


def test_the_prefix_is_taken_from_the_path_and_told():
    target, headers = outgoing(head("/standby/actors/me~x//a%2Fb?c"), BY_PATH, secrets=[])
    assert target == b"//a%2Fb?c"
    assert dict(headers)[b"x-forwarded-prefix"] == b"/standby/actors/me~x"
    assert outgoing(head("/standby/actors/me~x"), BY_PATH, secrets=[])[0] == b"/"


def test_what_a_client_says_of_how_it_came_is_not_passed_on():
    claims = [("x-forwarded-host", "evil"), ("x-forwarded-prefix", "/evil"), ("forwarded", "evil")]
    probe = ("x-apify-container-server-readiness-probe", "1")
    _, headers = outgoing(head("/", ("host", "h"), *claims, probe), BY_NAME, secrets=[])
    assert dict(headers) == {
        b"host": b"h",
        b"x-forwarded-host": b"h",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-for": b"10.0.0.1",
        b"connection": b"close",
    }


def test_what_says_where_a_body_ends_is_kept_whatever_connection_names():
    one = head("/", ("connection", "content-length, x-a"), ("content-length", "3"), ("x-a", "1"))
    _, headers = outgoing(one, BY_NAME, secrets=[])
    assert (b"content-length", b"3") in headers
    assert b"x-a" not in dict(headers)


def test_an_upgrade_is_passed_on_as_the_only_thing_of_the_connection():
    one = head("/", ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"))
    _, headers = outgoing(one, BY_NAME, secrets=[], upgrade=b"websocket")
    assert headers[-2:] == [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
    assert len([name for name, _ in headers if name == b"upgrade"]) == 1


def test_an_answer_by_path_is_shut_off_from_its_origin():
    answer = [(b"Set-Cookie", b"a=b"), (b"Transfer-Encoding", b"chunked"), (b"X-A", b"1")]
    by_path = dict(incoming(answer, BY_PATH, is_open=False))
    assert by_path.keys() == {b"x-a", b"content-security-policy"}
    assert dict(incoming(answer, BY_NAME, is_open=True)) == {
        b"set-cookie": b"a=b",
        b"x-a": b"1",
        b"access-control-allow-origin": b"*",
    }
