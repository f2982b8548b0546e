"""Fills in what the caller left out of an input.

A default is used where a property is missing, never where it is null.
"""

import copy
from collections.abc import Mapping
from typing import Any, cast


def with_defaults(spec: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """A new object; the given one is not touched. Doing it again changes nothing.

    A missing object is not made up from the defaults of its parts. Where it has a default of its own, that
    one is used, and the parts fill only what it leaves open.
    """
    result = dict(value)
    properties = cast("Mapping[str, Mapping[str, Any]]", spec.get("properties", {}))
    for name, field in properties.items():
        if name in result:
            result[name] = _inside(field, result[name])
        elif "default" in field:
            result[name] = _inside(field, copy.deepcopy(field["default"]))
    return result


def _inside(spec: Mapping[str, Any], value: object) -> object:
    if isinstance(value, dict) and "properties" in spec:
        return with_defaults(spec, cast("dict[str, Any]", value))
    if isinstance(value, list) and "items" in spec:
        return [_inside(spec["items"], each) for each in cast("list[object]", value)]
    return cast("object", value)
