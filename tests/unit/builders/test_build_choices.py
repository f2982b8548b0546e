"""What the builder chooses by itself: interpreters, default Dockerfiles, registry settings, what to fetch."""

import json
from pathlib import Path

import pytest

from callboard.builders.process import bases, system
from callboard.builders.process.bases import APIFY_NODE_PACKAGES, WORK_DIR, base_for
from callboard.builders.process.chromium import CHROMIUM
from callboard.builders.process.defaults import default_dockerfile
from callboard.builders.process.downloads import Requirements
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.interpreters import (
    browser,
    nearest_node,
    nearest_python,
    node,
    own_python,
)
from callboard.builders.process.registries import passed_environment, read_registries


def lines(root: Path) -> list[str]:
    return default_dockerfile(root).dockerfile.splitlines()


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "last"),
    [
        ({"main.py": ""}, 'CMD ["python", "main.py"]'),
        ({"src/__main__.py": "", "main.py": ""}, 'CMD ["python", "-m", "src"]'),
        ({"my_actor/__main__.py": ""}, 'CMD ["python", "-m", "my_actor"]'),
        ({"src/my_actor/__main__.py": ""}, 'CMD ["python", "-m", "my_actor"]'),
        (
            {"package.json": '{"scripts": {"start": "node dist/main.js"}}'},
            'CMD ["node", "dist/main.js"]',
        ),
        (
            {"package.json": '{"scripts": {"start": "tsx a.ts"}}'},
            'CMD ["npm", "start", "--silent"]',
        ),
        ({"package.json": "{}", "main.js": ""}, 'CMD ["node", "main.js"]'),
        ({"package.json": '{"main": "x.js"}', "x.js": ""}, 'CMD ["node", "x.js"]'),
        ({"main.sh": ""}, 'CMD ["sh", "main.sh"]'),
    ],
)
def test_the_start_command_follows_from_the_files(
    tmp_path: Path, files: dict[str, str], last: str
) -> None:
    assert lines(write(tmp_path, files))[-1] == last


def test_no_requirements_means_no_installing(tmp_path: Path) -> None:
    made = lines(write(tmp_path, {"main.py": "", "requirements.txt": "# none\n\n"}))
    assert not any(line.startswith("RUN") for line in made)


def test_requirements_come_before_the_rest_so_that_they_stay_cached(tmp_path: Path) -> None:
    made = lines(write(tmp_path, {"main.py": "", "requirements.txt": "six\n"}))
    assert made[1:4] == [
        "COPY requirements.txt ./",
        "RUN pip install -r requirements.txt",
        "COPY . ./",
    ]


@pytest.mark.parametrize(
    "text", ["-e .", "-r more.txt", "./wheel.whl", "x @ file:///usr/src/app/x"]
)
def test_requirements_that_name_files_are_installed_after_copying_all(
    tmp_path: Path, text: str
) -> None:
    made = lines(write(tmp_path, {"main.py": "", "requirements.txt": f"six\n{text}\n"}))
    assert made.index("COPY . ./") < made.index("RUN pip install -r requirements.txt")


def test_a_lock_file_is_kept_to(tmp_path: Path) -> None:
    node = {
        "package.json": json.dumps({"main": "x.js", "dependencies": {"a": "1"}}),
        "x.js": "",
        "package-lock.json": "{}",
    }
    assert "RUN npm ci --omit=dev" in lines(write(tmp_path / "node", node))
    python = {"pyproject.toml": '[project]\nname = "a"\n', "uv.lock": "", "main.py": ""}
    assert any("uv sync --frozen" in line for line in lines(write(tmp_path / "python", python)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"notes.txt": ""}, "nothing to build"),
        ({"package.json": "{"}, "package.json is not valid JSON"),
        ({"package.json": "{}"}, "no start script"),
        ({"requirements.txt": "six"}, "no main.py"),
        ({"pyproject.toml": "[", "main.py": ""}, "pyproject.toml is not valid TOML"),
    ],
)
def test_a_project_that_cannot_be_started_says_why(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(BuildFailed, match=message):
        default_dockerfile(write(tmp_path, files))


def test_the_own_interpreter_is_the_default() -> None:
    assert nearest_python(None) == own_python()
    assert own_python().executable.is_file()


def test_a_version_that_is_not_here_becomes_the_nearest_and_the_log_says_so() -> None:
    base = base_for("apify/actor-python:3.99")
    assert base.python is not None
    assert any("3.99 is not installed here" in note for note in base.notes)
    assert (base.work_dir, base.env["PYTHONUNBUFFERED"]) == (WORK_DIR, "1")


@pytest.mark.parametrize(
    "image",
    ["python:3.11-slim", "docker.io/library/python:3.11", "ghcr.io/astral-sh/uv:python3.11-alpine"],
)
def test_images_of_python_are_recognised(image: str) -> None:
    base = base_for(image)
    assert base.python is not None
    assert not base.implied


@pytest.mark.parametrize(
    "image", ["scratch", "alpine:3.20", "registry.example:5000/team/thing@sha256:00"]
)
def test_any_other_image_is_the_machines_own_system(image: str) -> None:
    base = base_for(image)
    assert base.implied
    assert base.notes == (f"{image} is taken to be this machine's own system.",)


@pytest.mark.parametrize(("wanted", "found"), [(16, 18), (18, 18), (90, 90), (95, 90)])
def test_the_nearest_node_of_several_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int, found: int
) -> None:
    own = node()
    if own is None or not 18 < own.version[0] < 90:
        pytest.skip("needs Node.js and npm")
    write(tmp_path, {f"versions/node/v{n}.1.0/bin/npm": "" for n in (18, 90)})
    monkeypatch.setenv("NVM_DIR", str(tmp_path))
    nearest = nearest_node(wanted)
    assert nearest is not None
    assert nearest.version[0] == found


def test_only_registry_settings_of_an_environment_are_passed() -> None:
    environ = {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "NPM_CONFIG_REGISTRY": "https://npm.example",
        "HTTPS_PROXY": "http://proxy.example",
        "UV_CACHE_DIR": "/server/cache",
        "NPM_CONFIG_USERCONFIG": "/root/.npmrc",
        "CALLBOARD_DATABASE_URL": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    assert set(passed_environment(environ)) == {
        "PIP_INDEX_URL",
        "NPM_CONFIG_REGISTRY",
        "HTTPS_PROXY",
    }


def test_pip_settings_reach_uv_and_files_they_name_are_shown(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    config = f"[global]\nextra-index-url = file://{tmp_path}/index/simple\n"
    config += f"find-links = {tmp_path}/wheels\ntimeout = 60\n"
    write(tmp_path, {".config/pip/pip.conf": config})
    found = read_registries(
        {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://mirror.example/simple"}
    )
    assert found.env["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found.env["UV_INDEX"] == f"file://{tmp_path}/index/simple"
    assert found.env["UV_HTTP_TIMEOUT"] == "60"
    assert {tmp_path / "wheels", tmp_path / "index"} <= set(found.paths)


def test_only_registry_lines_of_an_npmrc_are_passed(tmp_path: Path) -> None:
    text = "registry=https://npm.example/\n//t.example/:_authToken=t\nscript-shell=/x\n; c\n"
    write(tmp_path, {".npmrc": text})
    npmrc = read_registries(
        {"HOME": str(tmp_path), "NPM_CONFIG_GLOBALCONFIG": "/nonexistent"}
    ).npmrc.splitlines()
    assert "registry=https://npm.example/" in npmrc
    assert "//t.example/:_authToken=t" in npmrc
    assert not any(line.startswith(("script-shell", ";")) for line in npmrc)


@pytest.mark.parametrize(
    ("command", "names", "files"),
    [
        (
            ("/bin/sh", "-c", "echo a && pip install -r requirements.txt && x"),
            [],
            ["requirements.txt"],
        ),
        (
            ("/bin/sh", "-c", "python -m pip install --no-cache-dir 'a>=1' b[c]==2; true"),
            ["a>=1", "b[c]==2"],
            [],
        ),
        (("/bin/sh", "-c", "uv pip install --system --requirement=r.txt"), [], ["r.txt"]),
        (("pip", "install", "a"), ["a"], []),
        (("/bin/sh", "-c", "pip install . ./x git+https://e.example/x"), [], []),
        (("/bin/sh", "-c", "echo 'pip install"), [], []),
        (("/bin/sh", "-c", "npm install a"), [], []),
    ],
)
def test_what_a_step_installs_is_read_from_its_text(
    command: tuple[str, ...], names: list[str], files: list[str]
) -> None:
    found = Requirements(command)
    assert (found.names, found.files) == (names, files)


@pytest.mark.parametrize(
    ("command", "does"),
    [
        ("apt-get update && apt-get install -y --no-install-recommends coreutils", False),
        ("apt-get update && apt-get install -y nosuchpackage-at-all", True),
        ("dpkg -i x.deb", True),
        ("curl -fsSL https://e.example/setup | bash -", True),
        ("ln -s /usr/bin/python3 /usr/bin/python", True),
        ("cat /etc/os-release", False),
        ("/bin/bash -c 'echo a > b'", False),
        ("echo apt-get.txt > /usr/src/app/apt", False),
        ("npm install && node /usr/local/bin/x", False),
    ],
)
def test_a_step_that_changes_the_system_is_told_by_its_text(command: str, does: bool) -> None:
    if not Path("/var/lib/dpkg/status").is_file():
        pytest.skip("needs a system with dpkg")
    assert system.concerns(("/bin/sh", "-c", command)) is does
    assert system.concerns(("/bin/bash", "-o", "pipefail", "-c", command)) is does


@pytest.mark.parametrize(
    ("image", "work_dir", "packages"),
    [
        ("apify/actor-node-playwright-chrome:20-1.50.1", "/home/myuser", "playwright@1.50.1"),
        ("docker.io/apify/actor-node-puppeteer-chrome:22", "/home/myuser", "puppeteer"),
        ("apify/actor-node:20", WORK_DIR, "crawlee"),
    ],
)
def test_what_images_for_node_bring_along(image: str, work_dir: str, packages: str) -> None:
    if node() is None:
        pytest.skip("needs Node.js and npm")
    base = base_for(image)
    assert (base.work_dir, base.node_packages[-1]) == (work_dir, packages)
    assert base.node_packages[:2] == APIFY_NODE_PACKAGES


@pytest.mark.parametrize(
    "image", ["apify/actor-python-playwright:3.12", "mcr.microsoft.com/playwright/python:v1.50.0"]
)
def test_an_image_named_for_a_browser_has_the_machines(image: str) -> None:
    base = base_for(image)
    text = " ".join(base.notes)
    found = browser()
    if found is None:
        pytest.skip("needs Chromium")
    assert str(found.executable) in text
    assert base.env["APIFY_DEFAULT_BROWSER_PATH"] == CHROMIUM


def test_a_machine_without_a_browser_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "browser", lambda: None)
    base = base_for("apify/actor-python-playwright:3.12")
    assert base.browser is None
    assert any("install the package chromium" in note for note in base.notes)
    assert "APIFY_DEFAULT_BROWSER_PATH" not in base.env
