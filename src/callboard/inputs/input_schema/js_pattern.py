"""Compiles the regular expressions of input schemas, which are JavaScript's, for a bounded engine.

The engine reads JavaScript's strict (`u` flag) syntax. Schemas in the wild rely on the lax one, where
`[\\w-.]` has a plain hyphen and a lone brace stands for itself, so those are spelled out first.
"""

import re
from typing import Final

import jsonschema_rs

ENGINE: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=200_000)
"""Past this many steps back a value counts as not matching, so no pattern can hold up the server."""

_COUNT: Final = re.compile(r"\{\d+(,\d*)?\}")
_TOKEN: Final = re.compile(r"\\[pPu]\{[^}]*\}|\\.|.", re.DOTALL)
_SETS: Final = frozenset({f"\\{letter}" for letter in "dDwWsS"})
_MEANINGFUL: Final = frozenset("dDwWsSbBnrtvfcxukpP")


class InvalidPattern(Exception):
    """The expression does not compile."""


def compiled(pattern: str) -> jsonschema_rs.Draft7Validator:
    """A validator that takes the strings in which the pattern is found. Raises `InvalidPattern`."""
    schema = {"type": "string", "pattern": strict(pattern)}
    try:
        return jsonschema_rs.Draft7Validator(schema, pattern_options=ENGINE, offline=True)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise InvalidPattern(pattern) from error


def strict(pattern: str) -> str:
    """The same expression in strict syntax, or unchanged where it is strict already."""
    tokens = [match.group() for match in _TOKEN.finditer(pattern)]
    result: list[str] = []
    in_class, at = False, 0
    while at < len(tokens):
        token = tokens[at]
        if in_class:
            in_class = token != "]"
            result.append(_in_class(tokens, at))
        elif token == "[":
            in_class = True
            result.append(token)
        elif token == "{" and (count := _COUNT.match("".join(tokens[at : at + 24]))):
            result.append(count.group())
            at += len(count.group()) - 1
        else:
            result.append(f"\\{token}" if token in ("{", "}", "]") else _escape(token))
        at += 1
    return "".join(result)


def _in_class(tokens: list[str], at: int) -> str:
    """A hyphen beside a set such as `\\w` cannot make a range, so it is a plain one."""
    token = tokens[at]
    beside_a_set = tokens[at - 1] in _SETS or (tokens[at + 1 : at + 2] and tokens[at + 1] in _SETS)
    return "\\-" if token == "-" and beside_a_set else _escape(token)


def _escape(token: str) -> str:
    """Lax syntax lets any letter be escaped and means the letter."""
    is_letter = len(token) == 2 and token[1].isascii() and token[1].isalpha()
    return token[1] if is_letter and token[1] not in _MEANINGFUL else token
