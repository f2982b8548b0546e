"""The port that a run's own web server is told to listen on."""

import socket

import pytest

from callboard.runs.web_port import VARIABLE, free_port, web_server_port


def test_a_run_with_a_network_of_its_own_has_the_usual_port():
    assert web_server_port({}, None) == 4321


def test_a_run_in_the_hosts_network_has_a_port_of_its_own():
    port = free_port()
    assert port is not None
    assert web_server_port({}, port) == port
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize(
    ("value", "port"), [("8080", 8080), ("0", 4321), ("65536", 4321), ("http", 4321), ("", 4321)]
)
def test_a_version_may_choose_as_far_as_it_makes_sense(value: str, port: int):
    assert web_server_port({VARIABLE: value}, None) == port
