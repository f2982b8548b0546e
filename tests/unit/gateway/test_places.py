"""Which Actor's web server a request is for."""

import pytest

from callboard.core.actor_urls import ActorUrls
from callboard.gateway.places import Domains, Kind, Place

RUN = "aB3dE6gH9jK2mN5pQ"
LOCAL = "127.0.0.1:8484"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"/containers/{RUN}", Place(Kind.RUN, RUN, f"/containers/{RUN}")),
        (f"/containers/{RUN}/a/b", Place(Kind.RUN, RUN, f"/containers/{RUN}")),
        ("/standby/actors/me~x/", Place(Kind.ACTOR, "me~x", "/standby/actors/me~x")),
        ("/standby/tasks/me%7Ex/", Place(Kind.TASK, "me~x", "/standby/tasks/me%7Ex")),
        ("/containers/", None),
        ("/standby/other/x", None),
        ("/v2/actors", None),
    ],
)
def test_paths_lead_to_actors(path: str, place: Place | None):
    assert Domains().place_of(LOCAL, path) == place


@pytest.mark.parametrize(
    ("host", "label"),
    [
        (f"{RUN.lower()}.localhost:8484", RUN.lower()),
        (f"{RUN}.LOCALHOST", RUN.lower()),
        ("admin--my-actor.localhost", "admin--my-actor"),
        ("admin--my-actor.actors.example.com", "admin--my-actor"),
        ("admin--my-actor.actors.example.com:80", "admin--my-actor"),
        ("a.admin--my-actor.localhost", None),
        ("admin--my-actor.example.com", None),
        ("api.localhost", None),
        ("localhost:8484", None),
        ("[::1]:8484", None),
        ("", None),
    ],
)
def test_names_of_hosts_lead_to_actors(host: str, label: str | None):
    place = Domains("actors.example.com:443").place_of(host, "/v2/actors")
    assert (None if place is None else place.ref) == label


def test_a_name_is_offered_to_browsers_that_would_find_it():
    assert Domains().beside("127.0.0.1:8484") == "localhost:8484"
    assert Domains().beside("[::1]") == "localhost"
    assert Domains().beside("callboard.example.com") is None
    assert Domains("actors.example.com").beside("callboard.example.com") == "actors.example.com"


def test_urls_are_paths_or_names():
    paths = ActorUrls("http://127.0.0.1:8484")
    names = ActorUrls("https://api.example.com", "actors.example.com")
    who = {"username": "admin", "name": "my-actor"}
    assert paths.container(RUN) == f"http://127.0.0.1:8484/containers/{RUN}"
    assert names.container(RUN) == f"https://{RUN.lower()}.actors.example.com"
    assert paths.standby_task(RUN, **who) == "http://127.0.0.1:8484/standby/tasks/admin~my-actor"
    assert names.standby_task(RUN, **who) == f"https://{RUN.lower()}.actors.example.com"
    assert names.standby_actor(RUN, **who) == "https://admin--my-actor.actors.example.com"
    assert (
        ActorUrls("http://127.0.0.1:8484", "localhost").container("x") == "http://x.localhost:8484"
    )


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("with.dot", "abc"),
        ("under_score", "abc"),
        ("u" * 60, "abc"),
        ("me", "My-Actor"),
        ("me--too", "abc"),
        ("me-", "abc"),
    ],
)
def test_what_makes_no_good_label_is_named_by_its_id(username: str, name: str):
    urls = ActorUrls("https://api.example.com", "actors.example.com")
    assert urls.standby_actor(RUN, username=username, name=name) == (
        f"https://{RUN.lower()}.actors.example.com"
    )
