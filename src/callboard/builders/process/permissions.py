"""`--chmod`: the rights that copied files are given."""

import re

from callboard.builders.process.errors import BuildFailed

_CLAUSE = re.compile(r"([ugoa]*)([+=])([rwxX]*)")
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111}
_START = 0o644


def mode_of(text: str | None) -> int | None:
    """An octal number, or clauses like `u+x,go=r`, which start from what files usually have. None stays None."""
    if text is None:
        return None
    try:
        return int(text, 8) & 0o777
    except ValueError:
        return _symbolic(text)


def _symbolic(text: str) -> int:
    mode = _START
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise BuildFailed(f"--chmod={text} must be an octal number or clauses like u+x.")
        who, operator, rights = match.groups()
        mask = 0o777 if not who or "a" in who else sum(_WHO[one] for one in set(who))
        bits = mask & sum(_BITS[one] for one in set(rights.replace("X", "x")))
        mode = (mode & ~mask | bits) if operator == "=" else mode | bits
    return mode
