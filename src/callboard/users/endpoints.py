"""Handlers for accounts."""

from typing import Any

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.responses import data_response
from callboard.core.caps import Caps
from callboard.users.schemas import private_wire, public_wire
from callboard.users.service import UserService


class UserEndpoints:
    def __init__(
        self, service: UserService, *, proxy_groups: list[dict[str, Any]], caps: Caps
    ) -> None:
        self._service = service
        self._caps = caps
        self._proxy_groups = proxy_groups

    async def me(self, call: Call) -> Response:
        user = await self._service.by_id(call.user.user_id)
        return data_response(private_wire(user, call.user, self._proxy_groups, self._caps))

    async def get(self, call: Call) -> Response:
        return data_response(public_wire(await self._service.by_ref(call.params["userId"])))
