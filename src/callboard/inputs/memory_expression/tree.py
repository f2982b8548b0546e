"""The parts a memory expression is made of, as `syntax` reads and `evaluation` works them out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Literal:
    value: float | str | bool | None


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Listing:
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Member:
    owner: "Node"
    keys: tuple["Node", ...]


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Prefix:
    operator: str
    operand: "Node"


@dataclass(frozen=True)
class Chain:
    """Operands with the operators between them, all of one level, read from the left."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True)
class Conditional:
    condition: "Node"
    then: "Node"
    otherwise: "Node"


@dataclass(frozen=True)
class Assignment:
    name: str
    value: "Node"


@dataclass(frozen=True)
class Statement:
    value: "Node"
    is_result: bool
    """False when a semicolon follows, which hides the value."""


Node = Literal | Name | Listing | Member | Call | Prefix | Chain | Conditional | Assignment
