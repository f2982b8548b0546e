"""What webhooks are told about builds."""

from callboard.builds.model import Build
from callboard.builds.schemas import build_wire
from callboard.core import clock
from callboard.webhooks.model import Event, EventType


def build_event(event_type: EventType, build: Build) -> Event:
    return Event(
        type=event_type,
        user_id=build.user_id,
        created_at=clock.now(),
        event_data={"actorId": build.actor_id, "actorBuildId": build.id},
        resource=build_wire(build),
    )
