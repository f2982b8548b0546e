"""Writing a test once for the official Python client's two forms, the blocking one and the asynchronous one."""

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from apify_client import ApifyClient, ApifyClientAsync

FORMS = {"sync": ApifyClient, "async": ApifyClientAsync}


async def done(value: Any) -> Any:
    """What a method of either form comes to."""
    return await value if inspect.isawaitable(value) else value


async def every(items: Any) -> list[Any]:
    """All that an iterator of either form gives."""
    if hasattr(items, "__aiter__"):
        return [item async for item in items]
    return list(items)


@asynccontextmanager
async def opened(manager: Any) -> AsyncGenerator[Any]:
    """What a context manager of either form gives, while it is open."""
    if hasattr(manager, "__aenter__"):
        async with manager as inner:
            yield inner
    else:
        with manager as inner:
            yield inner


async def streamed(client: Any, response: Any) -> bytes:
    """All bytes of an answer that `client` streams."""
    if isinstance(client, ApifyClientAsync):
        return b"".join([chunk async for chunk in response.aiter_bytes()])
    return b"".join(response.iter_bytes())


async def until_logged(client: Any, run_id: str, text: str) -> None:
    """Returns once the run has written `text`, by following its log."""
    seen = b""
    async with opened(client.log(run_id).stream()) as response:
        if isinstance(client, ApifyClientAsync):
            async for chunk in response.aiter_bytes():
                seen += chunk
                if text.encode() in seen:
                    return
        else:
            for chunk in response.iter_bytes():
                seen += chunk
                if text.encode() in seen:
                    return
    raise AssertionError(f"the log ended without {text!r}: {seen.decode()}")
