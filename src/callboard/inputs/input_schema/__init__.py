"""Input schemas, version 1: the form of an Actor's input, its defaults, and what a valid input is.

Pure: text and JSON in, values and errors out. Who runs an Actor parses its build's schema, applies the
defaults and validates, in this order; who builds one checks.
"""

from callboard.inputs.input_schema.check import check_schema
from callboard.inputs.input_schema.errors import InvalidInput, InvalidInputSchema
from callboard.inputs.input_schema.schema import InputSchema, ResourceField, parse_schema

__all__ = [
    "InputSchema",
    "InvalidInput",
    "InvalidInputSchema",
    "ResourceField",
    "check_schema",
    "parse_schema",
]
