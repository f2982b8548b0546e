import pytest

from callboard.inputs.input_schema.js_pattern import compiled, strict
from callboard.inputs.input_schema.pattern_safety import PatternRefused, check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        r"^https?:\/\/(www\.)?[a-z0-9.-]+\.[a-z]{2,}(\/.*)?$",
        r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
        r"^([a-z0-9-]+\.)+[a-z]{2,6}$",
        r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]+$",
        r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
        r"^(\d+)\s*(minute|hour|day|week|month|year)s?$",
        r"^(?=.*[a-z])(?=.*\d)(?!.*\s).{8,}$",
        r"^(?<year>\d{4})(?<!0000)$",
        r"^([a-z]+,)*[a-z]+$",
        r"(\d{3})+",
        r"^(foo|far)+$",
        r"(a{2}){3,}",
        r"^(?:\p{L}+-)*\p{L}+$",
        r"^[\s\S]*\u0041\x41\u{1F600}$",
        r"(x?y?){2}",
        r"[^\]]+",
        "(" + "|".join(f"w{number}" for number in range(1000)) + ")+",
    ],
)
def test_ordinary_expressions_are_safe(pattern: str):
    check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+",
        r"^(a*)*$",
        r"(a|a)*",
        r"(a|aa)+$",
        r"([a-zA-Z]+)*$",
        r"(\w+\s?)*$",
        r"(a?b?)*c",
        r"^(\d+|[0-9a-f]+)*$",
        r"^([a-z]|[a-f0-9])+$",
        r"(.*a){12,}",
        r"(x+x+)+y",
        r"(a{1,50})+",
        r"(a{2,3})+",
        r"((ab)*)*",
        r"(?=(a+)+b)c",
        r"(?:(?=(b+)+)a)*",
        r"(?<word>\w|\p{L})*!",
    ],
)
def test_expressions_that_can_take_exponential_time_are_refused(pattern: str):
    with pytest.raises(PatternRefused, match="excessive backtracking"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[", "a**", "*", "(?<a", "a{2,1}", "[z-a]", "\\", "(?P<a>x)", "a++", "(?i)a"],
)
def test_expressions_that_are_no_javascript_are_refused(pattern: str):
    with pytest.raises(PatternRefused, match="must be valid"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "found", "missed"),
    [
        pytest.param(r"^[\w-.]+$", "a-b.c", "a b", id="hyphen-after-set"),
        pytest.param(r"^[+-\d]+$", "+-1", ",", id="hyphen-before-set"),
        pytest.param(r"^{{x}}$", "{{x}}", "x", id="braces"),
        pytest.param(r"^a{,3}$", "a{,3}", "aa", id="no-count"),
        pytest.param(r"^a]$", "a]", "a", id="bracket"),
        pytest.param(r"^\A[\e]$", "Ae", "\\A", id="escaped-letters"),
        pytest.param(r"^\@\_\-$", "@_-", "\\@", id="escaped-signs"),
    ],
)
def test_lax_javascript_syntax_means_the_same_as_in_javascript(
    pattern: str, found: str, missed: str
):
    check_pattern(pattern)

    assert compiled(pattern).is_valid(found)
    assert not compiled(pattern).is_valid(missed)


@pytest.mark.parametrize(
    "pattern", [r"^[\w\-.]+$", r"\p{Lu}\u{41}x{2,3}y{4}", r"[^\]\[{}-]", r"[^-]"]
)
def test_strict_syntax_stays_as_it_is(pattern: str):
    assert strict(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"^(?=(.*a){12})b", "a" * 5000), (r"(?<!x)\d*\d*\d*\d*\d*!", "1" * 5000)],
    ids=["lookahead", "polynomial"],
)
def test_a_slow_match_is_cut_short(pattern: str, text: str):
    assert not compiled(pattern).is_valid(text)
