"""The few rtnetlink messages a run's network namespace needs, sent over a plain socket.

Starting `ip` once per namespace costs more than all its work does, and a run may wait for it. One-off
work (the bridge, the firewall) is left to `ip` and `nft`.
"""

import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

_NETLINK_ROUTE = 0
_NEW_LINK, _GET_LINK, _SET_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 18, 19, 20, 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_NESTED = 0x8000

_IFF_UP = 1
_IFLA_NAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_PROTINFO, _IFLA_LINKINFO = 3, 4, 10, 12, 18
_IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 26, 27, 28, 29
_SKIP_STATISTICS = 8
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_BRPORT_ISOLATED = 33
_AF_BRIDGE = 7

_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY = 4, 5
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST = 254, 4, 0, 1

LOOPBACK_INDEX = 1


@dataclass(frozen=True)
class Message:
    """One request; `subject` names it in the error."""

    kind: int
    flags: int
    body: bytes
    subject: str


class Netlink:
    """A socket to the network namespace the calling thread was in when it was made, for good."""

    def __init__(self) -> None:
        self._sequence = count(1)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def apply(self, messages: Sequence[Message]) -> None:
        """Send them in order. Raise OSError for the first that fails, once all have been tried."""
        waiting: dict[int, str] = {}
        packets: list[bytes] = []
        for message in messages:
            sequence = next(self._sequence)
            waiting[sequence] = message.subject
            flags = _REQUEST | _ACK | message.flags
            size = _HEADER.size + len(message.body)
            packets.append(_HEADER.pack(size, message.kind, flags, sequence, 0) + message.body)
        self._socket.send(b"".join(packets))
        self._collect(waiting)

    def _collect(self, waiting: dict[int, str]) -> None:
        failure: OSError | None = None
        while waiting:
            for sequence, code in _acknowledged(self._socket.recv(65536)):
                subject = waiting.pop(sequence, "")
                if code and failure is None:
                    failure = OSError(code, os.strerror(code), subject)
        if failure is not None:
            raise failure


def _acknowledged(data: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        size, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, offset + _HEADER.size)
            found.append((sequence, -code))
        offset += (size + 3) & ~3
    return found


def add_veth_pair(*, name: str, group: int, mtu: int, peer_name: str, namespace_fd: int) -> Message:
    """A pair whose far end is in another namespace from the start, so its name clashes with none here."""
    peer = _link_header() + _text(_IFLA_NAME, peer_name) + _number(_IFLA_MTU, mtu)
    peer += _number(_IFLA_NET_NS_FD, namespace_fd)
    info = _text(_INFO_KIND, "veth") + _nest(_INFO_DATA, _nest(_VETH_PEER, peer))
    body = _link_header() + _text(_IFLA_NAME, name) + _number(_IFLA_MTU, mtu)
    body += _number(_IFLA_GROUP, group) + _nest(_IFLA_LINKINFO, info)
    return Message(_NEW_LINK, _CREATE | _EXCLUSIVE, body, f"add {name}")


def attach_to_bridge(*, name: str, bridge_index: int) -> Message:
    """Make it a port and bring it up, without addresses of its own."""
    no_address = _nest(socket.AF_INET6, _attribute(_INET6_ADDR_GEN_MODE, bytes([_ADDR_GEN_NONE])))
    body = _link_header(up=True) + _text(_IFLA_NAME, name)
    body += _number(_IFLA_MASTER, bridge_index) + _nest(_IFLA_AF_SPEC, no_address)
    return Message(_NEW_LINK, 0, body, f"attach {name}")


def isolate_bridge_port(*, index: int) -> Message:
    """Isolated ports reach the bridge itself, and never one another."""
    body = _link_header(family=_AF_BRIDGE, index=index)
    body += _nest(_IFLA_PROTINFO, _attribute(_BRPORT_ISOLATED, b"\x01"))
    return Message(_SET_LINK, 0, body, f"isolate link {index}")


def bring_up(*, index: int) -> Message:
    return Message(_NEW_LINK, 0, _link_header(index=index, up=True), f"bring up link {index}")


def settle(*, index: int) -> Message:
    """Have the kernel act now on a link that came up, which may else lose packets for up to a second.

    Kernels before 6.8 take their time all the same.
    """
    body = _link_header(index=index) + _number(_IFLA_EXT_MASK, _SKIP_STATISTICS)
    return Message(_GET_LINK, 0, body, f"settle link {index}")


def add_address(*, index: int, address: ipaddress.IPv4Interface) -> Message:
    packed = address.ip.packed
    body = struct.pack("=BBBBI", socket.AF_INET, address.network.prefixlen, 0, 0, index)
    body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    return Message(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body, f"add {address}")


def add_default_route(*, index: int, gateway: ipaddress.IPv4Address) -> Message:
    body = struct.pack(
        "=BBBBBBBBI",
        *(socket.AF_INET, 0, 0, 0),
        *(_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST, 0),
    )
    body += _attribute(_RTA_GATEWAY, gateway.packed) + _number(_RTA_OIF, index)
    return Message(_NEW_ROUTE, _CREATE | _EXCLUSIVE, body, f"route by {gateway}")


def _link_header(*, family: int = socket.AF_UNSPEC, index: int = 0, up: bool = False) -> bytes:
    flags = _IFF_UP if up else 0
    return struct.pack("=BBHiII", family, 0, 0, index, flags, flags)


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def _nest(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))
