"""`.dockerignore`: which files of the sources COPY leaves out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class IgnoreRules:
    """Patterns in order; the last that matches a path or a folder above it decides."""

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    def ignores(self, path: str) -> bool:
        """Whether the file at `path`, relative to the context, is left out."""
        ignored = False
        for pattern, exclude in self.rules:
            if ignored != exclude and pattern.match(path):
                ignored = exclude
        return ignored


def parse_ignore_rules(lines: Iterable[str]) -> IgnoreRules:
    """Read the lines of a `.dockerignore`."""
    rules: list[tuple[re.Pattern[str], bool]] = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        exclude = not text.startswith("!")
        pattern = text.removeprefix("!").strip().strip("/").removeprefix("./")
        if pattern and pattern != ".":
            rules.append((re.compile(glob_regex(pattern) + r"(?:/.*)?\Z", re.DOTALL), exclude))
    return IgnoreRules(tuple(rules))


def glob_regex(pattern: str) -> str:
    """A Dockerfile glob as a regular expression: `*` and `?` stay in one segment, `**` spans several."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        text, length = _token(pattern, at)
        out.append(text)
        at += length
    return "".join(out)


def _token(pattern: str, at: int) -> tuple[str, int]:
    if pattern.startswith("**/", at):
        return "(?:[^/]+/)*", 3
    if pattern.startswith("**", at):
        return ".*", 2
    match pattern[at]:
        case "*":
            return "[^/]*", 1
        case "?":
            return "[^/]", 1
        case "[" if (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            negated = inside.startswith(("^", "!"))
            return f"[{'^' if negated else ''}{inside[1:] if negated else inside}]", end + 1 - at
        case "\\" if at + 1 < len(pattern):
            return re.escape(pattern[at + 1]), 2
        case character:
            return re.escape(character), 1


def has_glob(text: str) -> bool:
    return any(character in text for character in "*?[")
