"""How many things an account may have, as the operator set it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caps:
    actors: int = 500
    tasks: int = 5000
    schedules: int = 100
    webhooks: int = 100
