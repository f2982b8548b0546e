"""The process builder: starts the build driver as a job of its own and reads what it left."""

import os

from callboard.builders.driven import DrivenBuilder
from callboard.builders.process.registries import passed_environment

_PASSED = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "PYENV_ROOT",
    "NVM_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "PIP_CONFIG_FILE",
)
"""Where interpreters and the operator's registry configuration are found. Read by the driver, not given to steps."""


class ProcessBuilder(DrivenBuilder):
    """Builds on this host, without containers."""

    name = "process"
    module = "callboard.builders.process"

    def environment(self) -> dict[str, str]:
        return driver_environment()


def driver_environment() -> dict[str, str]:
    """What a driver needs of the server's environment."""
    own = {name: os.environ[name] for name in _PASSED if name in os.environ}
    config = {
        name: value for name, value in os.environ.items() if name.upper().startswith("NPM_CONFIG_")
    }
    return {**own, **config, **passed_environment(os.environ)}
