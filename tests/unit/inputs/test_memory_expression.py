from typing import Any

import pytest

from callboard.inputs.memory_expression import (
    MemoryExpressionError,
    check_expression,
    memory_from_expression,
)

INPUT: dict[str, Any] = {
    "urls": ["a", "b", "c"],
    "count": 10,
    "mode": "full detail",
    "fast": True,
    "nothing": None,
    "nested": {"deep": 5, "with-dash": 7},
    "digits": "12",
    "and": 4,
}
OPTIONS: dict[str, Any] = {"maxItems": 5, "timeoutSecs": 60, "build": "latest"}


def memory(expression: str, **bounds: int) -> int:
    return memory_from_expression(expression, INPUT, OPTIONS, **bounds)


@pytest.mark.parametrize(
    ("expression", "mbytes"),
    [
        ("300", 256),
        ("900", 1024),
        ("181", 128),
        ("182", 256),
        ("724", 512),
        ("725", 1024),
        ("512", 512),
    ],
)
def test_the_result_is_the_nearest_power_of_two(expression: str, mbytes: int):
    assert memory(expression) == mbytes


@pytest.mark.parametrize(
    ("expression", "bounds", "mbytes"),
    [
        pytest.param("1", {}, 128, id="platform-least"),
        pytest.param("1e9", {}, 32768, id="platform-most"),
        pytest.param("0.001", {}, 128, id="tiny"),
        pytest.param("256", {"min_mbytes": 1024}, 1024, id="actor-least"),
        pytest.param("8192", {"max_mbytes": 2048}, 2048, id="actor-most"),
        pytest.param("512", {"min_mbytes": 64, "max_mbytes": 65536}, 512, id="wider-than-platform"),
        pytest.param("1e9", {"max_mbytes": 65536}, 32768, id="platform-wins"),
    ],
)
def test_the_result_stays_within_the_bounds_of_actor_and_platform(
    expression: str, bounds: dict[str, int], mbytes: int
):
    assert memory(expression, **bounds) == mbytes


# Every expression here was compared with the JavaScript implementation clients use.
@pytest.mark.parametrize(
    ("expression", "mbytes"),
    [
        ("min(get(input, 'urls.length', 1) * 64, 4096)", 256),
        ("get(input, 'missing.path', 3) * 256", 1024),
        ("get(input, 'nothing', 4) * 256", 1024),
        ("get(input, 'urls.7', 2) * 256", 512),
        ("get(input, 'mode.length', 1) * 100", 1024),
        ("get(null, 'a', 512)", 512),
        ("get(runOptions, 'maxItems', 1) * 100", 512),
        ("input.count * 64", 512),
        ("input.urls.length * 256", 1024),
        ("input['count'] * 100", 1024),
        ("input.nested['with-dash'] * 100", 512),
        ("input.and * 128", 512),
        ("input.digits * 100", 1024),
        ("input.fast * 512", 512),
        ("{{input.count}} * 100", 1024),
        ("{{ runOptions.maxItems }} * 100", 512),
        ("input.missing ? 1024 : 512", 512),
        ("input.missing ?? 512", 512),
        ("input.nothing ?? 512", 512),
        ("input.nothing == null ? 512 : 256", 512),
        ("input.missing == null ? 512 : 256", 256),
        ("compareText(input.mode, 'full detail') == 0 ? 1024 : 512", 1024),
        ("input.count > 5 ? 1024 : 256", 1024),
        ("input.count == 10 and input.fast == true ? 2048 : 256", 2048),
        ("input.fast and not input.nothing ? 512 : 256", 512),
        ("1 or 0 and 0 ? 512 : 256", 512),
        ("true xor true and false ? 512 : 256", 512),
        ("xor(true, false) ? 512 : 256", 512),
        ("0 ? 1 : 0 ? 2 : 512", 512),
        ("a = 512; b = 2; a * b", 1024),
        ("a = 512\nb = a * 4", 2048),
        ("x = y = 512; x", 512),
        ("x = 3 ? 512 : 1", 512),
        ("1 + input.nothing ?? 511", 512),
        ("2 ^ input.nothing ?? 9", 512),
        ("-2 ^ 2 + 516", 512),
        ("2 ^ 3 ^ 2", 512),
        ("2 ^ -1 * 1024", 512),
        ("1024 / 2 / 2", 256),
        ("3 - -509", 512),
        ("0.1 + 0.2 == 0.3 ? 512 : 256", 512),
        ("min(1000 / 0, 512)", 512),
        ("round(3.5) * 256", 1024),
        ("max([1, 900])", 1024),
        ("0x200", 512),
        (".5 * 1024", 512),
        ("512 # a comment", 512),
        ("(512 +\n 512)", 1024),
        ("512 +\n 512", 1024),
    ],
)
def test_expressions_give_what_clients_expect(expression: str, mbytes: int):
    assert memory(expression) == mbytes


@pytest.mark.parametrize(
    ("expression", "mbytes"),
    [
        ("input.mode == 'full detail' ? 4096 : 512", 4096),
        ("10 % 4 * 128", 256),
        ("1 < 2 < 3 ? 512 : 256", 512),
        ("3 > 2 > 2 ? 512 : 256", 256),
        ("round(2.5) * 256 - round(-2.5)", 1024),
        ("ceil(0.1) * floor(512.9)", 512),
        ("abs(-512)", 512),
        ("sqrt(2 ^ 18)", 512),
        ("2 ^ round(log(8, 2)) * 64", 512),
        ("2 ^ log2(1024)", 1024),
        ("mod(10, 4) * 128 + log10(1)", 256),
        ("sum(input.count, 500, 2)", 512),
        ("equalText(runOptions.build, 'latest') ? 512 : 256", 512),
        ("input.count > 5\n ? 1024\n : 256", 1024),
        ("'it\\'s' == \"it's\" ? 512 : 256", 512),
    ],
)
def test_common_functions_and_operators_work_beyond_what_clients_have(expression: str, mbytes: int):
    assert memory(expression) == mbytes


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "   ",
            "512;",
            "0",
            "-5",
            "1 / 0",
            "0 / 0",
            "NaN",
            "1e400",
            "9 ^ 9 ^ 9 ^ 9",
            "sqrt(-1)",
        ),
        *("true", "'512'", "null", "undefined", "input", "input.urls", "[1, 2]", "min"),
        *("input.missing * 4", "input.nothing + 512", "input.nested * 2", "input.mode * 1"),
        *("input.missing.deeper", "input.count.x", "input.mode.length", "input.urls[1]", "input[]"),
        *(
            "unknown",
            "unknown(1)",
            "max()",
            "min('a')",
            "get(input)",
            "get(input, 5, 512)",
            "round(1, -1)",
        ),
        *("sqrt(1, 2)", "log(0)", "compareText(1, 2)", "divide(1)"),
        *(
            "1 2",
            "1,000",
            "a=1, b=2",
            "(1",
            "1)",
            "'open",
            "true ? 512",
            "a =",
            "= 1",
            "1 +",
            "1 = 2",
            "input.",
        ),
        *(
            "?",
            "@",
            "é",
            "import os",
            "__import__('os')",
            "input.__class__",
            "input.count.__class__ ?? 512",
        ),
        *("{{runOptions.token}}", "{{process.env}}", "{{input.}}", "input.urls ? 512 : 256"),
    ],
)
def test_what_gives_no_memory_raises_the_one_error(expression: str):
    with pytest.raises(MemoryExpressionError):
        memory(expression)


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("x" * 1001, id="length"),
        pytest.param("(" * 400 + "1" + ")" * 400, id="parentheses"),
        pytest.param("-" * 999 + "1", id="signs"),
        pytest.param("1" + "^1" * 400, id="powers"),
        pytest.param("[" * 999, id="brackets"),
        pytest.param("1?" * 150 + "1" + ":1" * 150, id="conditions"),
        pytest.param("max(" * 190 + "1" + ")" * 190, id="calls"),
    ],
)
def test_an_expression_of_unreasonable_size_is_refused(expression: str):
    with pytest.raises(MemoryExpressionError):
        memory(expression)


def test_a_long_flat_expression_is_fine():
    assert memory("12" + "+1" * 490) == 512


@pytest.mark.parametrize(
    "value",
    [10**400, float("nan"), float("inf"), "1" * 5000],
    ids=["huge", "nan", "infinite", "text"],
)
def test_unreasonable_numbers_of_the_input_raise_the_one_error(value: object):
    with pytest.raises(MemoryExpressionError):
        memory_from_expression("input.x * 2", {"x": value}, {})


def test_an_absent_input_counts_as_an_empty_one():
    assert memory_from_expression("get(input, 'urls.length', 4) * 128", None, {}) == 512


def test_assigning_does_not_change_what_was_given():
    given = {"count": 1}

    assert memory_from_expression("input = 512; input", given, {}) == 512
    assert given == {"count": 1}


def test_an_expression_is_checked_without_an_input():
    check_expression("min(input.count, 4) * 128")
    with pytest.raises(MemoryExpressionError, match="',' expected instead of its end"):
        check_expression("min(1, 2")
    with pytest.raises(MemoryExpressionError, match=r"Invalid variable \{\{env\.x\}\}"):
        check_expression("{{env.x}}")
