"""Where a build's image is made and under which name: what the builder tells its driver, by the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLES = {
    "url": "CALLBOARD_BUILD_ENGINE",
    "network": "CALLBOARD_BUILD_NETWORK",
    "instance": "CALLBOARD_BUILD_INSTANCE",
}
_ENGINE_SETTINGS = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True)
class Place:
    """`network` is the engine's network that build steps are in; it is not there before an executor is open."""

    url: str
    network: str
    instance: str

    def tag(self, build_id: str) -> str:
        """The name of a build's image, by which it is removed."""
        return f"callboard/{self.instance}:{build_id}"

    def container(self, build_id: str) -> str:
        """The name of the container in which a build's image is looked at."""
        return f"callboard-build-{build_id}"

    def environment(self) -> dict[str, str]:
        own = {variable: getattr(self, name) for name, variable in _VARIABLES.items()}
        return own | {name: os.environ[name] for name in _ENGINE_SETTINGS if name in os.environ}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Place":
        """Raises KeyError outside a build driver."""
        return cls(**{name: environ[variable] for name, variable in _VARIABLES.items()})
