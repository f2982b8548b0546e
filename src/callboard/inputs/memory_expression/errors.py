"""What goes wrong in a memory expression."""


class MemoryExpressionError(Exception):
    """The expression cannot be read, or gives no memory for this input. The Actor's fixed default applies.

    The message quotes the expression at most, never the input.
    """
