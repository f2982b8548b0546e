"""Limits and usage on the wire. Quantities are real; money does not exist here, so every price is zero."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.core.clock import iso
from callboard.usage.model import UNLIMITED, AccountLimits, Cycle, DayUsage, Holdings

MBYTES_PER_GBYTE = 1024


class LimitsChange(msgspec.Struct, rename="camel"):
    """Body of `PUT /v2/users/me/limits`: what is given changes."""

    max_monthly_usage_usd: float | UnsetType = UNSET
    data_retention_days: int | UnsetType = UNSET


def cycle_wire(cycle: Cycle) -> dict[str, str]:
    return {"startAt": iso(cycle.start_at), "endAt": iso(cycle.end_at)}


def limits_wire(
    cycle: Cycle, limits: AccountLimits, now: Holdings, used: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "monthlyUsageCycle": cycle_wire(cycle),
        "limits": {
            "maxMonthlyUsageUsd": limits.max_monthly_usage_usd,
            "maxMonthlyActorComputeUnits": UNLIMITED,
            "maxMonthlyExternalDataTransferGbytes": UNLIMITED,
            "maxMonthlyProxySerps": UNLIMITED,
            "maxMonthlyResidentialProxyGbytes": UNLIMITED,
            "maxActorMemoryGbytes": limits.memory_limit_mbytes / MBYTES_PER_GBYTE,
            "maxActorCount": limits.caps.actors,
            "maxActorTaskCount": limits.caps.tasks,
            "maxConcurrentActorJobs": UNLIMITED,
            "maxTeamAccountSeatCount": 1,
            "dataRetentionDays": limits.retention_days,
            "maxScheduleCount": limits.caps.schedules,
        },
        "current": {
            "monthlyUsageUsd": 0,
            "monthlyActorComputeUnits": used.get("ACTOR_COMPUTE_UNITS", 0),
            "monthlyExternalDataTransferGbytes": used.get("DATA_TRANSFER_EXTERNAL_GBYTES", 0),
            "monthlyProxySerps": 0,
            "monthlyResidentialProxyGbytes": 0,
            "actorMemoryGbytes": now.active_memory_mbytes / MBYTES_PER_GBYTE,
            "actorCount": now.actor_count,
            "actorTaskCount": now.task_count,
            "activeActorJobCount": now.active_job_count,
            "teamAccountSeatCount": 1,
            "scheduleCount": now.schedule_count,
        },
    }


def total(days: Sequence[DayUsage]) -> dict[str, float]:
    """What was used on all the days together, by service."""
    sums: dict[str, float] = defaultdict(float)
    for day in days:
        for service, quantity in day.quantities.items():
            sums[service] += quantity
    return dict(sums)


def monthly_wire(cycle: Cycle, days: Sequence[DayUsage]) -> dict[str, Any]:
    return {
        "usageCycle": cycle_wire(cycle),
        "monthlyServiceUsage": _services_wire(total(days)),
        "dailyServiceUsages": [
            {
                "date": f"{day.day}T00:00:00.000Z",
                "serviceUsage": _services_wire(day.quantities),
                "totalUsageCreditsUsd": 0,
            }
            for day in days
        ],
        "totalUsageCreditsUsdBeforeVolumeDiscount": 0,
        "totalUsageCreditsUsdAfterVolumeDiscount": 0,
    }


def _services_wire(quantities: Mapping[str, float]) -> dict[str, Any]:
    return {
        service: {
            "quantity": quantity,
            "baseAmountUsd": 0,
            "baseUnitPriceUsd": 0,
            "amountAfterVolumeDiscountUsd": 0,
            "priceTiers": [],
        }
        for service, quantity in quantities.items()
    }
