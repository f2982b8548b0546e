"""What the build driver is told about the job it runs in, so that the sandboxes of its steps fit into it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CALLBOARD_SURROUNDINGS"
"""Set for jobs that are not sandboxed, in addition to the spec's environment."""


@dataclass(frozen=True)
class Surroundings:
    etc: Path
    """For `Sandbox.etc`."""
    resolv_conf: Path | None
    """For `Sandbox.resolv_conf`."""
    hostname: str
    filesystem: str
    """The rung in force, of `runners`: for `Sandbox.rung`, unless it is NONE and steps have to run unprotected."""

    def environment(self) -> dict[str, str]:
        resolv_conf = str(self.resolv_conf) if self.resolv_conf else None
        fields = [str(self.etc), resolv_conf, self.hostname, self.filesystem]
        return {VARIABLE: json.dumps(fields)}

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Surroundings":
        """Raises KeyError outside a job of the launcher."""
        etc, resolv_conf, hostname, filesystem = json.loads(env[VARIABLE])
        return cls(Path(etc), Path(resolv_conf) if resolv_conf else None, hostname, filesystem)
