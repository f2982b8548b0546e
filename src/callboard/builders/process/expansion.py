"""Words and variables of Dockerfile instructions: quotes, escapes, `$NAME`, `${NAME:-word}`, `${NAME%pattern}`.

The kept parser splits a Dockerfile into instructions but knows only plain variables; real Dockerfiles use defaults.
"""

import re
from collections.abc import Mapping

from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.ignoring import glob_regex

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_MODIFIER = re.compile(r":?[-+?]")
_TRIMMING = re.compile(r"##?|%%?")
MAX_EXPANDED = 1024 * 1024
"""A chain of variables that double each other would fill the memory otherwise."""


def expand(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """`text` with variables put in, quotes and escapes consumed."""
    return "".join(_Scanner(text, variables, split=False, escape=escape).words())


def expand_document(text: str, variables: Mapping[str, str]) -> str:
    """A here-document with variables put in. Quotes mean nothing in it."""
    return "".join(_Scanner(text, variables, split=False, quotes="").words())


def expand_words(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> list[str]:
    """`text` split at unquoted whitespace, each word expanded. A variable's value is never split."""
    return _Scanner(text, variables, split=True, escape=escape).words()


def key_values(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> dict[str, str]:
    """The pairs of ENV, ARG or LABEL: `a=1 b="x y"`, or the old `a rest of the line`."""
    first = text.split(None, 1)
    if first and "=" not in first[0]:
        rest = expand(first[1], variables, escape=escape) if len(first) > 1 else ""
        return {first[0]: rest}
    pairs: dict[str, str] = {}
    for word in expand_words(text, variables, escape=escape):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BuildFailed(f"{word!r} must have the form NAME=VALUE.")
        pairs[name] = value
    return pairs


class _Scanner:
    """One pass over a text, character by character."""

    def __init__(
        self,
        text: str,
        variables: Mapping[str, str],
        *,
        split: bool,
        escape: str = "\\",
        quotes: str = "'\"",
    ) -> None:
        self._text = text
        self._variables = variables
        self._split = split
        self._escape_character = escape
        self._quotes = quotes
        self._at = 0
        self._quote: str = ""
        self._word: str | None = None
        self._words: list[str] = []

    def words(self) -> list[str]:
        while self._at < len(self._text):
            self._step(self._text[self._at])
        self._end_word()
        return self._words

    def _step(self, character: str) -> None:
        if character == self._escape_character and self._quote != "'":
            self._escape()
        elif character == "$" and self._quote != "'":
            self._variable()
        elif character == self._quote or (character in self._quotes and not self._quote):
            self._quote = character if not self._quote else ""
            self._take("")
        elif character.isspace() and self._split and not self._quote:
            self._at += 1
            self._end_word()
        else:
            self._take(character)

    def _take(self, text: str, *, length: int = 1) -> None:
        self._word = (self._word or "") + text
        self._at += length
        if len(self._word) > MAX_EXPANDED:
            raise BuildFailed(
                "A value in the Dockerfile grows too long when its variables are put in."
            )

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append(self._word)
        self._word = None

    def _escape(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        in_quotes = self._quote or not self._quotes
        if in_quotes and following not in {'"', "$", self._escape_character}:
            self._take(self._escape_character)
        else:
            self._take(following, length=2)

    def _variable(self) -> None:
        braced = self._text.startswith("${", self._at)
        start = self._at + (2 if braced else 1)
        match = _NAME.match(self._text, start)
        if match is None:
            self._take("$")
        elif braced:
            self._braced(match.group(), match.end())
        else:
            self._take(self._variables.get(match.group(), ""), length=match.end() - self._at)

    def _braced(self, name: str, after: int) -> None:
        close = _closing_brace(self._text, after)
        modifier = _MODIFIER.match(self._text, after)
        trimming = _TRIMMING.match(self._text, after)
        if trimming is not None:
            pattern = expand(self._text[trimming.end() : close], self._variables)
            value = _trimmed(self._variables.get(name, ""), trimming.group(), pattern)
            self._take(value, length=close + 1 - self._at)
            return
        end = modifier.end() if modifier else after
        if modifier is None and close != after:
            raise BuildFailed(
                f"${{{self._text[self._at + 2 : close]}}} is a form of variable that is not supported."
            )
        value = self._modified(name, modifier.group() if modifier else "", self._text[end:close])
        self._take(value, length=close + 1 - self._at)

    def _modified(self, name: str, modifier: str, word: str) -> str:
        value = self._variables.get(name)
        present = value is not None and (value != "" or not modifier.startswith(":"))
        match modifier[-1:]:
            case "-":
                return value if present and value is not None else expand(word, self._variables)
            case "+":
                return expand(word, self._variables) if present else ""
            case "?":
                if not present:
                    raise BuildFailed(
                        f"Variable {name} is not set. {expand(word, self._variables)}".rstrip()
                    )
                return value or ""
            case _:
                return value or ""


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """`value` without the shortest, or by a doubled operator longest, start (`#`) or end (`%`) that matches."""
    expression = re.compile(glob_regex(pattern).replace("[^/]", "."), re.DOTALL)
    lengths = range(len(value) + 1) if len(operator) == 1 else range(len(value), -1, -1)
    for length in lengths:
        if operator[0] == "#" and expression.fullmatch(value[:length]):
            return value[length:]
        if operator[0] == "%" and expression.fullmatch(value[len(value) - length :]):
            return value[: len(value) - length]
    return value


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for position in range(start, len(text)):
        if text.startswith("${", position):
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    raise BuildFailed(f"A brace is not closed in {text!r}.")
