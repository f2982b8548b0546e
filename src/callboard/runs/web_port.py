"""The port that a run's own web server is told to listen on."""

import random
import socket
from collections.abc import Mapping
from contextlib import suppress

WEB_SERVER_PORT = 4321
"""Of every run that has a network of its own, unless its version says otherwise."""
VARIABLE = "ACTOR_WEB_SERVER_PORT"
_SHARED_PORTS = range(20_000, 32_000)
"""Where runs share the host's network: below what systems take for outgoing connections."""
_TRIES = 50


def web_server_port(custom: Mapping[str, str], own_port: int | None) -> int:
    """What the version's variables ask for, else the port that the run was given, else the usual one."""
    with suppress(ValueError):
        port = int(custom.get(VARIABLE, ""))
        if 1 <= port <= 65_535:
            return port
    return WEB_SERVER_PORT if own_port is None else own_port


def free_port() -> int | None:
    """A port of this host that nobody listens on; None when there seems to be none."""
    for _ in range(_TRIES):
        port = random.choice(_SHARED_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    return None
