"""Going out through SOCKS proxies. They open a connection to a target and are out of the way from then on."""

from typing import Final

from python_socks import ProxyConnectionError, ProxyTimeoutError, ProxyType
from python_socks import ProxyError as SocksError
from python_socks.async_.asyncio import Proxy

from callboard.proxy.errors import NO_UPSTREAM, ProxyError
from callboard.proxy.targets import Target
from callboard.proxy.upstreams import Upstream
from callboard.proxy.ways import CONNECT_SECS, Streams
from callboard.proxy.wire import opened

_TYPES: Final = {4: ProxyType.SOCKS4, 5: ProxyType.SOCKS5}


async def open_through_socks(upstream: Upstream, target: Target) -> Streams:
    """A connection to the target, whose name the upstream resolves. Raises ProxyError."""
    proxy = Proxy(
        proxy_type=_TYPES[upstream.socks_version or 5],
        host=upstream.host,
        port=upstream.port,
        username=upstream.username,
        password=upstream.password,
        rdns=True,
    )
    try:
        connection = await proxy.connect(target.host, target.port, timeout=CONNECT_SECS)
        return await opened(connection)
    except (ProxyConnectionError, ProxyTimeoutError, OSError) as error:
        raise ProxyError(NO_UPSTREAM, "The upstream proxy cannot be reached.") from error
    except SocksError as error:
        # Wrong credentials, a target it cannot or will not reach: SOCKS tells them apart too rarely to rely on.
        raise ProxyError(NO_UPSTREAM, f"The upstream proxy refused: {error}.") from error
