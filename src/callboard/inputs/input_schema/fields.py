"""Checks that plain JSON Schema has no words for: proxies, lists of sources, keys and values by pattern.

They follow the editor of a top-level field. What an editor's list may hold is checked only as far as no
Actor could make sense of it, since callers of the API fill these lists by hand.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, cast

from callboard.inputs.input_schema.countries import COUNTRY_CODES
from callboard.inputs.input_schema.js_pattern import compiled
from callboard.inputs.input_schema.rules import is_strings

_MAX_POSITIONS: Final = 20
_WEB_URL: Final = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
_PROXY_URL: Final = re.compile(
    r"(?:socks(?:4a?|5h?)?|https?)://(?:[^@\s/]*@)?[^:@\s/]+:\d+/?", re.IGNORECASE
)


def special_errors(
    name: str, spec: Mapping[str, Any], value: object, *, required: bool
) -> Iterator[str]:
    """Sentences for what is wrong with a field's value beyond its JSON Schema. A wrong type is not told again."""
    if spec["type"] == "object" and spec.get("editor") == "proxy":
        yield from _proxy_errors(name, value, required=required)
    if spec["type"] == "object" and isinstance(value, dict):
        yield from _map_errors(name, spec, cast("dict[str, object]", value))
    if spec["type"] == "array" and isinstance(value, list):
        yield from _list_errors(name, spec, cast("list[object]", value))


def _proxy_errors(name: str, value: object, *, required: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    proxy = cast("dict[str, object]", value)
    uses_apify, urls = proxy.get("useApifyProxy"), proxy.get("proxyUrls")
    if required and not uses_apify and not urls:
        yield f"Field input.{name} is required. Please provide custom proxy URLs or use Apify Proxy."
        return
    yield from _proxy_shape_errors(name, proxy)
    if not uses_apify and is_strings(urls):
        yield from _proxy_url_errors(name, cast("list[str]", urls))
    country = proxy.get("apifyProxyCountry")
    if country and not uses_apify:
        yield "The country for Apify Proxy can be specified only when using Apify Proxy."
    elif isinstance(country, str) and country and country not in COUNTRY_CODES:
        yield (
            f'Country code "{country[:20]}" is invalid. '
            "Only ISO 3166-1 alpha-2 country codes are supported."
        )


def _proxy_shape_errors(name: str, proxy: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(proxy.get("useApifyProxy"), bool | None):
        yield f"Field input.{name}.useApifyProxy must be boolean"
    for key in ("apifyProxyGroups", "proxyUrls"):
        if proxy.get(key) is not None and not is_strings(proxy[key]):
            yield f"Field input.{name}.{key} must be an array of strings."
    if not isinstance(proxy.get("apifyProxyCountry"), str | None):
        yield f"Field input.{name}.apifyProxyCountry must be string"


def _proxy_url_errors(name: str, urls: Sequence[str]) -> Iterator[str]:
    """Positions, not the URLs: those hold passwords."""
    wrong = _positions(urls, lambda url: bool(_PROXY_URL.fullmatch(cast("str", url).strip())))
    if wrong:
        yield (
            f"Proxy URLs in input.{name}.proxyUrls at positions [{wrong}] have invalid format, it must be "
            "socks[4|4a|5|5h]|http[s]://[username[:password]]@hostname:port."
        )


def _list_errors(name: str, spec: Mapping[str, Any], items: Sequence[object]) -> Iterator[str]:
    fits, words = _ITEMS.get(spec.get("editor", ""), (None, ""))
    if fits and (wrong := _positions(items, fits)):
        yield f"Items in input.{name} at positions [{wrong}] {words}"
    for keyword, of, label in (
        ("patternKey", _key, "Keys"),
        ("patternValue", _value, "Values"),
    ):
        if keyword not in spec or spec.get("editor") not in ("keyValue", "stringList"):
            continue
        wrong = _positions(
            items, lambda item, of=of, keyword=keyword: _found(spec[keyword], of(item))
        )
        if wrong:
            yield _own_words(spec, keyword) or (
                f"{label} in input.{name} at positions [{wrong}] must match regular expression "
                f'"{spec[keyword]}"'
            )


def _map_errors(name: str, spec: Mapping[str, Any], value: Mapping[str, object]) -> Iterator[str]:
    if "patternKey" in spec:
        wrong = [key for key in value if not _found(spec["patternKey"], key)]
        if wrong:
            yield _own_words(spec, "patternKey") or (
                f"Keys [{','.join(wrong)}] in input.{name} must match regular expression "
                f'"{spec["patternKey"]}"'
            )
    if "patternValue" in spec:
        wrong = [key for key, each in value.items() if not _found(spec["patternValue"], each)]
        if wrong:
            yield _own_words(spec, "patternValue") or (
                f"Keys [{','.join(wrong)}] in input.{name} must have string value which matches regular "
                f'expression "{spec["patternValue"]}"'
            )


def _own_words(spec: Mapping[str, Any], keyword: str) -> str | None:
    return cast("dict[str, str]", spec.get("errorMessage", {})).get(keyword)


def _positions(items: Sequence[object], fits: Callable[[object], bool]) -> str:
    """The first few, enough to find the mistake."""
    wrong = (str(index) for index, item in enumerate(items) if not fits(item))
    return ",".join(islice(wrong, _MAX_POSITIONS))


def _member(item: object, key: str) -> object:
    return cast("dict[str, object]", item).get(key) if isinstance(item, dict) else None


def _key(item: object) -> object:
    return _member(item, "key")


def _value(item: object) -> object:
    """Of a key-value pair its value, of a list of strings the string."""
    return item if isinstance(item, str) else _member(item, "value")


def _is_source(item: object) -> bool:
    urls = [url for key in ("url", "requestsFromUrl") if (url := _member(item, key))]
    return bool(urls) and all(isinstance(url, str) and _WEB_URL.match(url) for url in urls)


def _is_text_or_has(key: str) -> Callable[[object], bool]:
    return lambda item: isinstance(item, str) or isinstance(_member(item, key), str)


_ITEMS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "requestListSources": (_is_source, "do not contain valid URLs"),
    "globs": (_is_text_or_has("glob"), "do not contain a glob"),
    "pseudoUrls": (_is_text_or_has("purl"), "do not contain a pseudo-URL"),
    "keyValue": (lambda item: isinstance(_key(item), str), "do not contain a key"),
    "stringList": (lambda item: isinstance(item, str | int | float), "must be strings"),
}


def _found(pattern: str, value: object) -> bool:
    return isinstance(value, str) and _matcher(pattern).is_valid(value)


_matcher = lru_cache(maxsize=256)(compiled)
