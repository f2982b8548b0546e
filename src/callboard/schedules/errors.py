"""Errors about schedules."""

from callboard.core.errors import ApiError


class ScheduleNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Schedule was not found"


class TooManySchedules(ApiError):
    status, type = 403, "too-many-schedules"

    def __init__(self, count: int) -> None:
        super().__init__(f"You may have at most {count} schedules.")


class ScheduleNameNotUnique(ApiError):
    status, type = 409, "schedule-name-not-unique"
    message = "You already have a schedule of that name."


class CronExpressionInvalid(ApiError):
    status, type = 400, "cron-expression-invalid"

    def __init__(self, expression: str, reason: str) -> None:
        super().__init__(f'Cron expression "{expression}" is not valid: {reason}.')


class ScheduleActorNotFound(ApiError):
    status, type = 404, "schedule-actor-not-found"

    def __init__(self, actor_id: str) -> None:
        super().__init__(f'Actor "{actor_id}" of the schedule was not found.')


class ScheduleTaskNotFound(ApiError):
    status, type = 404, "schedule-actor-task-not-found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f'Actor task "{task_id}" of the schedule was not found.')
