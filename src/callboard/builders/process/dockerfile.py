"""A Dockerfile as data: stages of instructions, with flags and exec or shell forms told apart. Nothing is run here.

Splitting into instructions is left to the kept parser `dockerfile-parse`.
"""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from dockerfile_parse import DockerfileParser

from callboard.builders.process.errors import BuildFailed

_IGNORED = frozenset(
    {"EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "STOPSIGNAL", "VOLUME"}
)
_KNOWN = _IGNORED | {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "FROM",
    "RUN",
    "SHELL",
    "USER",
    "WORKDIR",
}
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*[\"']?[A-Za-z_]\w*")
MAX_INSTRUCTIONS = 1000


@dataclass(frozen=True)
class Instruction:
    """One instruction; `value` is the text after its flags, with variables still in it."""

    name: str
    value: str
    flags: dict[str, str]
    line: int
    """1-based, for messages."""
    text: str
    """As written, on one line."""

    def exec_form(self) -> tuple[str, ...] | None:
        """The words of the JSON form, or None for the shell form."""
        if not self.value.startswith("["):
            return None
        try:
            words: object = json.loads(self.value)
        except ValueError:
            return None
        if not isinstance(words, list):
            return None
        items = cast("list[object]", words)
        strings = tuple(item for item in items if isinstance(item, str))
        return strings if len(strings) == len(items) else None


@dataclass(frozen=True)
class Stage:
    """What lies between one FROM and the next. `image` still has variables in it."""

    image: str
    name: str | None
    instructions: tuple[Instruction, ...]
    line: int


@dataclass(frozen=True)
class Dockerfile:
    """`arguments` are the ARGs before the first FROM, usable in FROM lines."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile. Raises `BuildFailed` naming the line for what is wrong or not supported."""
    instructions = _instructions(text)
    arguments: list[Instruction] = []
    groups: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            groups.append([instruction])
        elif groups:
            groups[-1].append(instruction)
        elif instruction.name == "ARG":
            arguments.append(instruction)
        else:
            raise BuildFailed(f"Dockerfile line {instruction.line}: only ARG may come before FROM.")
    if not groups:
        raise BuildFailed("The Dockerfile has no FROM instruction.")
    return Dockerfile(tuple(arguments), tuple(_stage(group) for group in groups))


def _stage(group: Sequence[Instruction]) -> Stage:
    start = group[0]
    words = start.value.split()
    if len(words) == 1:
        return Stage(words[0], None, tuple(group[1:]), start.line)
    if len(words) == 3 and words[1].lower() == "as":
        return Stage(words[0], words[2].lower(), tuple(group[1:]), start.line)
    raise BuildFailed(f"Dockerfile line {start.line}: FROM takes an image, or an image AS a name.")


def _instructions(text: str) -> list[Instruction]:
    # Blank lines do not end a continued instruction, which the parser takes them to do.
    lines = [
        (number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()
    ]
    content = "".join(line + "\n" for _, line in lines).encode()
    file: Any = io.BytesIO(content)  # typed as text by the parser, which wants bytes
    parser: Any = DockerfileParser(fileobj=file, env_replace=False)
    parsed = cast("list[dict[str, Any]]", parser.structure)
    found = [
        _instruction(str(item["instruction"]), str(item["value"]), lines[int(item["startline"])][0])
        for item in parsed
        if item["instruction"] != "COMMENT"
    ]
    if len(found) > MAX_INSTRUCTIONS:
        raise BuildFailed(f"The Dockerfile has more than {MAX_INSTRUCTIONS} instructions.")
    return found


def _instruction(name: str, value: str, line: int) -> Instruction:
    if name not in _KNOWN:
        raise BuildFailed(f"Dockerfile line {line}: unknown instruction {name[:40]!r}.")
    if name in {"RUN", "COPY", "ADD"} and _HEREDOC.search(value):
        raise BuildFailed(
            f"Dockerfile line {line}: here-documents are not supported; put the script in a file or join it with &&."
        )
    flags, rest = _flags(value.strip())
    return Instruction(name, rest, flags, line, f"{name} {' '.join(value.split())}")


def _flags(value: str) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    while match := _FLAG.match(value):
        flags[match.group(1)] = match.group(2) or ""
        value = value[match.end() :]
    return flags, value
