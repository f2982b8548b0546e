"""What an engine says while it builds an image: JSON objects, one a line."""

import re
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

_STEP = re.compile(r"(?:\[\d+/\d+\] )?S(?:tep|TEP) (\d+/\d+) ?: (.*)", re.DOTALL)
_EXIT_CODE = re.compile(r"(?:returned a non-zero code:|while running runtime: exit status) (\d+)$")
"""In the words of Docker, and of Podman."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class BuildMessages:
    """Passes on what is for people, line by line, and keeps what came out: the image, or why there is none."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._unfinished = ""
        self.image_id: str | None = None
        self._error: str | None = None
        self._step: re.Match[str] | None = None

    @property
    def error(self) -> str | None:
        """Why there is no image, with the step that failed, in one line."""
        if self._error is None or self._step is None:
            return self._error
        number, instruction = self._step.groups()
        code = _EXIT_CODE.search(self._error)
        if code is None:
            return f"Step {number} failed: {self._error}"
        return f"Step {number} failed with exit code {code[1]}: {' '.join(instruction.split())}"

    def take(self, line: bytes) -> None:
        message: object = msgspec.json.decode(line) if line.strip() else None
        if not isinstance(message, dict):
            return
        told = cast("Mapping[str, object]", message)
        aux = told.get("aux")
        if isinstance(aux, dict) and "ID" in aux:
            self.image_id = str(cast("Mapping[str, object]", aux)["ID"])
        if "stream" in told:
            self._step = _STEP.match(str(told["stream"])) or self._step
            self._print(str(told["stream"]))
        elif "error" in told:
            self._print("\n")
            self._error = str(told["error"]).strip()
        elif "status" in told and "progress" not in told:
            name = f"{told['id']}: " if told.get("id") else ""
            self._print(f"{name}{told['status']}\n")

    def finish(self) -> None:
        if self._unfinished:
            self._print("\n")

    def _print(self, text: str) -> None:
        *lines, self._unfinished = (self._unfinished + _COLOUR.sub("", text)).split("\n")
        for line in lines:
            if line.strip():
                self._say(line.rstrip().rpartition("\r")[2])
