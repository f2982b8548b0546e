"""Reads a memory expression into a tree. Recursive descent over the MathJS grammar's common part.

Loosest first: statements, assignment, `? :`, or, xor, and, comparison, `+ -`, `* / %`, sign and not, `^`,
`??`, member access. Operators of one level make one flat node, so long sums do not make deep trees.
"""

import re
from typing import Final, NoReturn

from callboard.inputs.memory_expression.errors import MemoryExpressionError
from callboard.inputs.memory_expression.tree import (
    Assignment,
    Call,
    Chain,
    Conditional,
    Listing,
    Literal,
    Member,
    Name,
    Node,
    Prefix,
    Statement,
)

MAX_LENGTH: Final = 1000
_MAX_DEPTH: Final = 40

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|\n\s*(?=[?:]))
      | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_$][\w$]*)
      | (?P<sign>\?\?|[=!<>]=|[-+*/%^()\[\],.?:<>=;\n])""",
    re.VERBOSE | re.ASCII,
)
_WORDS: Final = frozenset({"and", "or", "xor", "not", "mod"})


_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_LEVELS: Final = (
    frozenset({"or"}),
    frozenset({"xor"}),
    frozenset({"and"}),
    frozenset({"==", "!=", "<", ">", "<=", ">="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%", "mod"}),
)
_OPERATORS: Final = frozenset[str]().union(*_LEVELS) | {"^", "??", "?", ":", "=", "not"}
"""After one of these a line is not at its end."""


def parse(expression: str) -> tuple[Statement, ...]:
    """Raises `MemoryExpressionError`."""
    if len(expression) > MAX_LENGTH:
        raise MemoryExpressionError(f"It is longer than {MAX_LENGTH} characters.")
    return _Parser(_tokens(expression)).block()


def _tokens(expression: str) -> list[tuple[str, str]]:
    """Kind and text of each. The kind of signs and of operators that are words is their text."""
    result: list[tuple[str, str]] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise MemoryExpressionError(f"Unexpected character at position {at + 1}.")
        at, kind, text = match.end(), match.lastgroup or "", match.group()
        if kind == "sign" or text in _WORDS:
            kind = text
        goes_on = kind == "\n" and bool(result) and result[-1][0] in _OPERATORS
        if kind != "space" and not goes_on:
            result.append((kind, text))
    return [*result, ("end", "")]


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._brackets = 0

    def block(self) -> tuple[Statement, ...]:
        statements: list[Statement] = []
        while not self._sees("end"):
            if self._takes(";", "\n"):
                continue
            value = self._assignment()
            if not self._sees(";", "\n", "end"):
                self._refuse("Unexpected")
            statements.append(Statement(value, is_result=not self._sees(";")))
        return tuple(statements)

    def _token(self) -> tuple[str, str]:
        while self._brackets and self._tokens[self._at][0] == "\n":
            self._at += 1
        return self._tokens[self._at]

    def _sees(self, *kinds: str) -> bool:
        return self._token()[0] in kinds

    def _takes(self, *kinds: str) -> str | None:
        kind, text = self._token()
        if kind not in kinds:
            return None
        self._at += 1
        return text

    def _expect(self, kind: str) -> None:
        if self._takes(kind) is None:
            self._refuse(f"{kind!r} expected instead of")

    def _refuse(self, words: str) -> NoReturn:
        kind, text = self._token()
        raise MemoryExpressionError(f"{words} {'its end' if kind == 'end' else repr(text)}.")

    def _assignment(self) -> Node:
        self._enter()
        node = self._conditional()
        if isinstance(node, Name) and self._takes("="):
            node = Assignment(node.name, self._assignment())
        self._depth -= 1
        return node

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise MemoryExpressionError("It is nested too deeply.")

    def _conditional(self) -> Node:
        condition = self._level(0)
        if not self._takes("?"):
            return condition
        then = self._assignment()
        self._expect(":")
        return Conditional(condition, then, self._assignment())

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._prefix()
        first = self._level(level + 1)
        rest: list[tuple[str, Node]] = []
        while operator := self._takes(*_LEVELS[level]):
            rest.append((operator, self._level(level + 1)))
        return Chain(first, tuple(rest)) if rest else first

    def _prefix(self) -> Node:
        operator = self._takes("-", "+", "not")
        if operator is None:
            return self._power()
        self._enter()
        node = Prefix(operator, self._prefix())
        self._depth -= 1
        return node

    def _power(self) -> Node:
        base = self._fallback()
        if not self._takes("^"):
            return base
        self._enter()
        node = Chain(base, (("^", self._prefix()),))
        self._depth -= 1
        return node

    def _fallback(self) -> Node:
        first = self._member()
        rest: list[tuple[str, Node]] = []
        while operator := self._takes("??"):
            rest.append((operator, self._member()))
        return Chain(first, tuple(rest)) if rest else first

    def _member(self) -> Node:
        owner = self._atom()
        keys: list[Node] = []
        while opening := self._takes(".", "["):
            keys.append(self._dotted_key() if opening == "." else self._bracketed_key())
        return Member(owner, tuple(keys)) if keys else owner

    def _dotted_key(self) -> Node:
        kind, text = self._token()
        if kind != "name" and text not in _WORDS:
            self._refuse("A property name expected instead of")
        self._at += 1
        return Literal(text)

    def _bracketed_key(self) -> Node:
        keys = self._listed("]")
        if len(keys) != 1:
            raise MemoryExpressionError("One property name expected between the brackets.")
        return keys[0]

    def _atom(self) -> Node:
        kind, text = self._token()
        self._at += kind != "end"
        match kind:
            case "number":
                return Literal(float(int(text, 16)) if text[:2] in ("0x", "0X") else float(text))
            case "text":
                return Literal(re.sub(r"\\(.)", r"\1", text[1:-1]))
            case "name":
                return self._named(text)
            case "(":
                return self._parenthesised()
            case "[":
                return Listing(self._listed("]"))
            case "and" | "or" | "xor" | "mod" if self._takes("("):
                return Call(text, self._listed(")"))
            case _:
                raise MemoryExpressionError(f"A value expected instead of {text!r}.")

    def _named(self, name: str) -> Node:
        if self._takes("("):
            return Call(name, self._listed(")"))
        return Literal(_CONSTANTS[name]) if name in _CONSTANTS else Name(name)

    def _parenthesised(self) -> Node:
        self._brackets += 1
        node = self._assignment()
        self._close(")")
        return node

    def _listed(self, closing: str) -> tuple[Node, ...]:
        """What stands between commas up to the closing bracket; the opening one has been taken."""
        self._brackets += 1
        items: list[Node] = []
        while not self._sees(closing):
            items.append(self._assignment())
            if not self._sees(closing):
                self._expect(",")
        self._close(closing)
        return tuple(items)

    def _close(self, closing: str) -> None:
        self._expect(closing)
        self._brackets -= 1
