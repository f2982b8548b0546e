"""Which IP addresses may be reached for people who choose the name and its DNS: what is dialled is what counts.

Never reachable: link-local addresses, where clouds keep their metadata services, other metadata addresses,
"this host", multicast and reserved ranges. Loopback and private ranges are up to the operator.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_ANY_CLOUD = frozenset(
    map(
        ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
_THIS_HOST = ip_network("0.0.0.0/8")
_EMBEDS_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))


def is_allowed(address: str, *, allow_private: bool) -> bool:
    """Whether this IP address may be connected to. What is no IP address is not allowed."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and (embedded := _embedded(ip)) is not None:
        return _is_allowed(embedded, allow_private=allow_private)
    return _is_allowed(ip, allow_private=allow_private)


def _is_allowed(ip: IPv4Address | IPv6Address, *, allow_private: bool) -> bool:
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or _plain(ip) in _ANY_CLOUD:
        return False
    if isinstance(ip, IPv4Address):
        if ip.is_reserved or ip in _THIS_HOST:
            return False
    elif ip.is_site_local:
        return False
    return allow_private or ip.is_global


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Without a zone, which would make an address unequal to itself."""
    return ip if isinstance(ip, IPv4Address) else IPv6Address(int(ip))


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to `ip` ends up at, for the transition forms of IPv6."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if int(ip) > 1 and any(_plain(ip) in network for network in _EMBEDS_IPV4):
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return None
