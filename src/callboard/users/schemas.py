"""Users on the wire. Money and plans do not exist here: everyone is on one unlimited plan."""

from typing import Any

from callboard.core.caller import Caller
from callboard.core.caps import Caps
from callboard.core.clock import iso
from callboard.users.model import User

_FEATURES = (
    "ACTORS",
    "STORAGE",
    "SCHEDULER",
    "PROXY",
    "PROXY_EXTERNAL_ACCESS",
    "PROXY_RESIDENTIAL",
    "PROXY_SERPS",
    "WEBHOOKS",
    "ACTORS_PUBLIC_ALL",
    "ACTORS_PUBLIC_DEVELOPER",
)
_ABSENT_FEATURES = frozenset({"PROXY_RESIDENTIAL", "PROXY_SERPS"})


def profile_wire(user: User) -> dict[str, Any]:
    return {"name": user.username, "bio": None, "pictureUrl": None}


def public_wire(user: User) -> dict[str, Any]:
    return {"username": user.username, "profile": profile_wire(user)}


def private_wire(
    user: User, caller: Caller, proxy_groups: list[dict[str, Any]], caps: Caps
) -> dict[str, Any]:
    """`users/me`. A run sees no plan or profile, a token with scopes no proxy.

    There is no e-mail: clients refuse a made-up one.
    """
    wire: dict[str, Any] = {
        "id": user.id,
        "username": user.username,
        "effectivePlatformFeatures": {name: _feature(name) for name in _FEATURES},
        "createdAt": iso(user.created_at),
        "isPaying": True,
    }
    if caller.scopes is None:
        wire["proxy"] = {"password": user.proxy_password, "groups": proxy_groups}
    if caller.run_id is None:
        wire |= {
            "profile": profile_wire(user),
            "plan": plan_wire(caps),
        }
    return wire


def _feature(name: str) -> dict[str, Any]:
    is_enabled = name not in _ABSENT_FEATURES
    return {
        "isEnabled": is_enabled,
        "disabledReason": None if is_enabled else "This server has no such proxies.",
        "disabledReasonType": None if is_enabled else "DISABLED",
        "isTrial": False,
        "trialExpirationAt": None,
    }


def plan_wire(caps: Caps) -> dict[str, Any]:
    return {
        "id": "SELF_HOSTED",
        "description": "Self-hosted",
        "isEnabled": True,
        "monthlyBasePriceUsd": 0,
        "monthlyUsageCreditsUsd": 0,
        "usageDiscountPercent": 0,
        "enabledPlatformFeatures": [name for name in _FEATURES if name not in _ABSENT_FEATURES],
        "maxMonthlyUsageUsd": 0,
        "maxActorMemoryGbytes": 32,
        "maxMonthlyActorComputeUnits": 0,
        "maxMonthlyResidentialProxyGbytes": 0,
        "maxMonthlyProxySerps": 0,
        "maxMonthlyExternalDataTransferGbytes": 0,
        "maxActorCount": caps.actors,
        "maxActorTaskCount": caps.tasks,
        "dataRetentionDays": 7,
        "availableProxyGroups": {},
        "teamAccountSeatCount": 1,
        "supportLevel": "COMMUNITY",
        "availableAddOns": [],
        "tier": "FREE",
    }
