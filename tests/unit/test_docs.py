"""The documentation is true: links lead somewhere, what it names exists, generated pages say what the code says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag

import pytest
import typer

from callboard import config
from callboard.cli import app

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[str]:
    """Links to files of the repository."""
    without_code = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return (link for link in LINK.findall(without_code) if "://" not in link)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> set[str]:
    """Everything that may follow `callboard`, such as `users create`."""
    root = typer.main.get_command(app)
    names: set[str] = set()
    for name, command in root.commands.items():
        names.add(name)
        names |= {f"{name} {part}" for part in getattr(command, "commands", {})}
    return names


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_of_a_page_lead_somewhere(page: Path):
    for link in links(page):
        target, anchor = urldefrag(link)
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(file), f"{link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_names_only_commands_that_exist(page: Path):
    named = re.findall(r"(?<![\w/.])callboard ((?:[a-z]+)(?: [a-z]+)?)", code_of(page))
    known = commands()
    unknown = [name for name in named if name not in known and name.split()[0] not in known]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_names_only_make_targets_that_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", code_of(page), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_names_only_settings_that_exist(page: Path):
    known = {config.env_name(setting.name) for setting in config.setting_fields()}
    known |= {config.CONFIG_FILE_VARIABLE}
    assert set(re.findall(r"\bCALLBOARD_[A-Z_]+[A-Z]", page.read_text())) <= known


def code_of(page: Path) -> str:
    """Code blocks, and what is in backticks in the text."""
    text = page.read_text()
    blocks = re.findall(r"```(?:\w+)?\n(.*?)```", text, re.DOTALL)
    return "\n".join(
        [*blocks, *re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    )


def test_every_page_is_reached_from_the_index():
    index = ROOT / "docs" / "README.md"
    reached = {(index.parent / link).resolve() for link in links(index)} | {index}
    assert reached >= set((ROOT / "docs").rglob("*.md"))


def test_generated_pages_say_what_the_code_says():
    script = ROOT / "scripts" / "generate_docs.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_variable_of_a_run_is_documented():
    source = (ROOT / "src/callboard/runs/environment.py").read_text()
    page = (ROOT / "docs/reference/environment-variables.md").read_text()
    values = source[source.index("values: dict") : source.index("given = ")]
    names = set(re.findall(r'"((?:ACTOR|APIFY)_[A-Z_]+)":', values))
    assert len(names) > 30
    assert {name for name in names if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_names_only_tests_that_exist(page: Path):
    for file, name in re.findall(r"\b(tests/[\w/]+\.py)::(\w+)", page.read_text()):
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (
            name
        )
