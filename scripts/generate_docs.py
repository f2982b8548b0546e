"""Writes the pages of docs/reference that follow from the code, so that they cannot be wrong for long.

`--check` writes nothing and fails when a page is not what the code says.
"""

import argparse
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

import callboard
from callboard import config
from callboard.api.contract import load_contract, shape
from callboard.cli import app as commands
from callboard.core.errors import ApiError
from callboard.routes import Endpoints, contract_routes

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOTICE = "<!-- Written by scripts/generate_docs.py: change the code, then run `make docs`. -->\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


# settings


def settings_page() -> str:
    return f"""\
# Settings

{NOTICE}
A setting is taken from the command line, else from its environment variable, else from a TOML file, else it has its
default. The file is named by the environment variable `{config.CONFIG_FILE_VARIABLE}`; its keys are the names
below. `callboard config show` tells what is in force and where it comes from.

{table(("Setting", "Environment variable", "Type", "Default", "Meaning"), _setting_rows())}"""


def _setting_rows() -> Iterator[tuple[str, ...]]:
    for setting in config.setting_fields():
        kind = getattr(setting.type, "__name__", str(setting.type))
        names = (f"`{setting.name}`", f"`{config.env_name(setting.name)}`")
        yield (*names, _KINDS.get(kind, kind), _shown_default(setting), setting.metadata["help"])


_KINDS = {
    "str": "text",
    "str | None": "text",
    "int": "whole number",
    "float": "number",
    "bool": "0 or 1",
    "Path": "path",
    "tuple": "list",
}


def _shown_default(setting: Any) -> str:
    if setting.name == "data_dir":
        return "`callboard` in the user's data folder, on Linux `~/.local/share/callboard`"
    if setting.default in (None, ()):
        return "none"
    default = (
        f"{setting.default:g}" if isinstance(setting.default, float | bool) else setting.default
    )
    return f"`{default}`"


# commands


def cli_page() -> str:
    sections = "\n".join(_command_sections(typer.main.get_command(commands), "callboard"))
    return f"# Commands\n\n{NOTICE}\n{sections}"


def _command_sections(command: Any, name: str) -> Iterator[str]:
    yield f"## {name}\n\n{command.help}\n"
    rows = [_parameter_row(parameter) for parameter in command.params]
    if rows := [row for row in rows if row[1]]:
        yield table(("Parameter", "Meaning"), rows)
    for part in getattr(command, "commands", {}).values():
        yield from _command_sections(part, f"{name} {part.name}")


def _parameter_row(parameter: Any) -> tuple[str, str]:
    is_option = parameter.param_type_name == "option"
    name = parameter.opts[0] if is_option else parameter.name.upper()
    value = "" if not is_option or getattr(parameter, "is_flag", False) else " VALUE"
    needed = " Required." if parameter.required and is_option else ""
    return f"`{name}{value}`", (parameter.help or "") + needed


# coverage


def coverage_page() -> str:
    contract = load_contract()
    operations = sorted(_operations(contract))
    count, version = len(operations), contract["info"]["version"]
    served = sum(is_served for *_, is_served in operations)
    return f"""\
# Coverage of the contract

{NOTICE}
Callboard serves **{served} of {count}** operations of the Apify API, version `{version}`.
Every path under `/v2/actors` answers under its older name `/v2/acts` as well.

{table(("Part", "Served", "Operations"), _tag_rows(operations))}
{"".join(_tag_sections(operations))}"""


def _operations(contract: dict[str, Any]) -> Iterator[tuple[str, str, str, str, bool]]:
    """Tag, path, method, summary, and whether it is served."""
    fields = Endpoints.__dataclass_fields__
    endpoints = Endpoints(
        **{name: field.type.__new__(field.type) for name, field in fields.items()}
    )
    served = {(route.method, shape(route.path)) for route in contract_routes(endpoints)}
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            is_served = (method.upper(), shape(path)) in served
            tag = operation.get("tags", ["Other"])[0]
            yield tag, path, method.upper(), operation.get("operationId", ""), is_served


def _tag_rows(operations: list[tuple[str, str, str, str, bool]]) -> Iterator[tuple[str, ...]]:
    for tag, group in groupby(operations, key=lambda operation: operation[0]):
        states = [is_served for *_, is_served in group]
        yield tag, str(sum(states)), str(len(states))


def _tag_sections(operations: list[tuple[str, str, str, str, bool]]) -> Iterator[str]:
    for tag, group in groupby(operations, key=lambda operation: operation[0]):
        rows = (
            (f"`{method}`", f"`{path}`", f"`{name}`", "yes" if is_served else "no")
            for _, path, method, name, is_served in group
        )
        yield f"\n## {tag}\n\n{table(('Method', 'Path', 'Operation', 'Served'), rows)}"


# errors


def errors_page() -> str:
    return f"""\
# Errors

{NOTICE}
An error is answered with its HTTP status and `{{"error": {{"type": ..., "message": ...}}}}`, some with `data` beside.
Programs should look at the status and the type; messages are for people. A message that names the case at hand is
described here in general words.

{table(("Status", "Type", "When"), _error_rows())}"""


def _error_rows() -> Iterator[tuple[str, ...]]:
    def key(error: type[ApiError]) -> tuple[int, str]:
        return error.status, error.type

    for (status, name), group in groupby(sorted(_errors(), key=key), key=key):
        meanings = sorted({_meaning(error) for error in group})
        yield str(status), f"`{name}`", " / ".join(meanings)


def _errors() -> set[type[ApiError]]:
    for module in pkgutil.walk_packages(callboard.__path__, "callboard."):
        if not module.name.endswith("__main__") and ".process.tools" not in module.name:
            importlib.import_module(module.name)
    return set(_subclasses(ApiError))


def _subclasses(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _meaning(error: type[ApiError]) -> str:
    """The message, else what the class says of itself, else its name in words."""
    if error.message != ApiError.message:
        return error.message
    if error.__doc__ and error.__doc__ != error.__base__.__doc__:
        return error.__doc__.splitlines()[0]
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", error.__name__).lower()
    return f"{words.capitalize()}."


PAGES = {
    "settings.md": settings_page,
    "cli.md": cli_page,
    "coverage.md": coverage_page,
    "errors.md": errors_page,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a page is stale")
    check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if not _is_current(name, page())]
    for name in stale:
        if check:
            print(f"docs/reference/{name} is stale: run `make docs`.", file=sys.stderr)
        else:
            (REFERENCE / name).write_text(PAGES[name]())
            print(f"wrote docs/reference/{name}")
    sys.exit(1 if check and stale else 0)


def _is_current(name: str, content: str) -> bool:
    page = REFERENCE / name
    return page.exists() and page.read_text() == content


if __name__ == "__main__":
    main()
