"""A Dockerfile as data: stages of instructions, with flags and exec or shell forms told apart. Nothing is run here.

Splitting into instructions is left to the kept parser `dockerfile-parse`. What it lacks is added around it:
here-documents, blank lines within an instruction, flags, and in `expansion` all forms of variables but the plain one.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from dockerfile_parse import DockerfileParser

from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.heredocs import Heredoc, take_out

_IGNORED = frozenset({"EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "STOPSIGNAL", "VOLUME"})
_KNOWN = _IGNORED | {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "FROM",
    "ONBUILD",
    "RUN",
    "SHELL",
    "USER",
    "WORKDIR",
}
_NOT_TRIGGERED = frozenset({"FROM", "MAINTAINER", "ONBUILD"})
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_ESCAPE = re.compile(r"\s*#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"\s*#\s*\w+\s*=")
MAX_INSTRUCTIONS = 1000


@dataclass(frozen=True)
class Instruction:
    """One instruction; `value` is the text after its flags, with variables still in it."""

    name: str
    value: str
    flags: Mapping[str, tuple[str, ...]]
    line: int
    """1-based, for messages."""
    text: str
    """As written, on one line."""
    heredocs: tuple[Heredoc, ...] = ()
    escape: str = "\\"
    """The character that takes the next one's meaning away."""
    trigger: "Instruction | None" = field(default=None, repr=False)
    """Of ONBUILD: what is done in a stage that starts from this one."""

    def flag(self, name: str) -> str | None:
        """The value given last, or None."""
        return self.flags.get(name, (None,))[-1]

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


def _escape_character(text: str) -> str:
    """Directives stand at the very top."""
    for line in text.splitlines():
        if match := _ESCAPE.match(line):
            return match[1]
        if not _DIRECTIVE.match(line):
            break
    return "\\"


def _instructions(text: str) -> list[Instruction]:
    escape = _escape_character(text)
    kept, documents = take_out(text, escape)
    # Blank lines do not end a continued instruction, which the parser takes them to do.
    lines = [(number, line) for number, line in kept if line.strip()]
    content = "".join(line + "\n" for _, line in lines).encode()
    file: Any = io.BytesIO(content)  # typed as text by the parser, which wants bytes
    parser: Any = DockerfileParser(fileobj=file, env_replace=False)
    parsed = [item for item in parser.structure if item["instruction"] != "COMMENT"]
    if len(parsed) > MAX_INSTRUCTIONS:
        raise BuildFailed(f"The Dockerfile has more than {MAX_INSTRUCTIONS} instructions.")
    found: list[Instruction] = []
    for item in parsed:
        line = lines[int(item["startline"])][0]
        reader = _Reader(line, documents.get(line, ()), escape)
        found.append(reader.instruction(str(item["instruction"]), str(item["value"])))
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads the instruction that starts in a line."""

    line: int
    heredocs: tuple[Heredoc, ...]
    escape: str

    def instruction(self, name: str, value: str) -> Instruction:
        if name not in _KNOWN:
            raise BuildFailed(f"Dockerfile line {self.line}: unknown instruction {name[:40]!r}.")
        flags, rest = _flags(value.strip())
        text = f"{name} {' '.join(value.split())}"
        trigger = self._trigger(rest) if name == "ONBUILD" else None
        return Instruction(name, rest, flags, self.line, text, self.heredocs, self.escape, trigger)

    def _trigger(self, text: str) -> Instruction:
        name, _, value = text.partition(" ")
        if name.upper() in _NOT_TRIGGERED:
            raise BuildFailed(f"Dockerfile line {self.line}: ONBUILD {name} is not possible.")
        return self.instruction(name.upper(), value)


def _flags(value: str) -> tuple[dict[str, tuple[str, ...]], str]:
    flags: dict[str, tuple[str, ...]] = {}
    while match := _FLAG.match(value):
        name = match.group(1)
        flags[name] = (*flags.get(name, ()), match.group(2) or "")
        value = value[match.end() :]
    return flags, value
