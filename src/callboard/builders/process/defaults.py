"""Projects without a Dockerfile, or without a start command in it: what is assumed, written out as a Dockerfile.

The order is documented: `package.json` means Node.js, then `pyproject.toml`, `requirements.txt` or Python files
mean Python, then `main.sh` the shell. Node.js starts with `npm start`, Python with `python -m PACKAGE` or
`python main.py`.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from callboard.builders.process.bases import WORK_DIR
from callboard.builders.process.errors import BuildFailed

_MAX_FILE_BYTES = 1024 * 1024
_LOCAL_REQUIREMENT = re.compile(
    r"^\s*(-r|-c|-e|--requirement|--constraint|--editable|\.|/|[^#\n]*file:)", re.MULTILINE
)
_DIRECT_START = re.compile(r"node ([\w./-]+\.[cm]?js)")
_NODE_FILES = ("main.js", "src/main.js", "index.js", "main.mjs", "src/main.mjs", "server.js")
_PYTHON_FILES = ("main.py", "src/main.py", "__main__.py")


@dataclass(frozen=True)
class Default:
    """A Dockerfile in the project's stead, and why it is this one."""

    dockerfile: str
    reason: str


def default_dockerfile(project: Path) -> Default:
    """What a project without a Dockerfile is built by. Raises `BuildFailed` if nothing in it can be started."""
    if (project / "package.json").is_file() or _first(project, _NODE_FILES):
        return _node(project)
    if any(
        (project / name).is_file() for name in ("pyproject.toml", "requirements.txt")
    ) or python_start(project):
        return _python(project)
    if (project / "main.sh").is_file():
        return Default(
            _lines("FROM scratch", f"WORKDIR {WORK_DIR}", "COPY . ./", 'CMD ["sh", "main.sh"]'),
            "main.sh",
        )
    raise BuildFailed(
        "There is nothing to build: the sources have no Dockerfile, package.json, pyproject.toml, requirements.txt, "
        "main.py, main.js or main.sh."
    )


def guessed_start(project: Path, *, node: bool) -> tuple[str, ...]:
    """The start command of a project whose Dockerfile names none. Raises `BuildFailed` if there is none."""
    if node and (project / "package.json").is_file():
        return _node_start(project, _package(project))[0]
    start = python_start(project)
    if start is None:
        raise BuildFailed(
            "The Dockerfile has no CMD or ENTRYPOINT, and there is no main.py or package to start."
        )
    return start


def python_start(project: Path) -> tuple[str, ...] | None:
    """`python -m PACKAGE` when one package can be started, else a main file."""
    if (project / "src/__main__.py").is_file():
        return ("python", "-m", "src")
    packages = [path.parent.name for path in sorted(project.glob("*/__main__.py"))]
    packages += [path.parent.name for path in sorted(project.glob("src/*/__main__.py"))]
    if len(packages) == 1:
        return ("python", "-m", packages[0])
    file = _first(project, _PYTHON_FILES)
    return ("python", file) if file else None


def _python(project: Path) -> Default:
    start = python_start(project)
    if start is None:
        raise BuildFailed("There is no package with __main__.py and no main.py to start.")
    version = _text(project / ".python-version").strip()
    lines = [
        f"FROM apify/actor-python:{version}"
        if re.fullmatch(r"\d+\.\d+(\.\d+)?", version)
        else "FROM apify/actor-python"
    ]
    if start[1] == "-m" and (project / "src" / start[2] / "__main__.py").is_file():
        lines.append(f"ENV PYTHONPATH={WORK_DIR}/src")
    lines += _python_install(project)
    lines.append(f"CMD {json.dumps(start)}")
    return Default(_lines(*lines), f"Python, started by {' '.join(start)}")


def _python_install(project: Path) -> list[str]:
    """The lines from the first COPY on. Files that decide the packages come first, so the rest may change freely."""
    copy_all = ["COPY . ./"]
    requirements = _text(project / "requirements.txt")
    if requirements:
        install = ["RUN pip install -r requirements.txt"] if _has_requirements(requirements) else []
        if _LOCAL_REQUIREMENT.search(requirements):
            return [*copy_all, *install]
        return [*(["COPY requirements.txt ./"] if install else []), *install, *copy_all]
    if not (project / "pyproject.toml").is_file():
        return copy_all
    return _pyproject_install(project)


def _pyproject_install(project: Path) -> list[str]:
    table = _pyproject(project)
    own = ["RUN uv pip install --no-deps ."] if "build-system" in table else []
    if (project / "uv.lock").is_file():
        sync = "RUN UV_PROJECT_ENVIRONMENT=$VIRTUAL_ENV uv sync --frozen --inexact --no-dev --no-install-project"
        return ["COPY pyproject.toml uv.lock ./", sync, "COPY . ./", *own]
    details = _table(table, "project")
    dynamic = details.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in cast("list[object]", dynamic):
        return ["COPY . ./", "RUN uv pip install ."]
    needs = bool(details.get("dependencies"))
    install = ["COPY pyproject.toml ./", "RUN uv pip install -r pyproject.toml"] if needs else []
    return [*install, "COPY . ./", *own]


def _node(project: Path) -> Default:
    package = _package(project)
    start, why = _node_start(project, package)
    lines = ["FROM node", f"WORKDIR {WORK_DIR}"]
    if (
        package.get("dependencies")
        or package.get("optionalDependencies")
        or _has_install_script(package)
    ):
        lines += ["COPY package.json package-lock.json* npm-shrinkwrap.json* .npmrc* ./"]
        locked = any(
            (project / name).is_file() for name in ("package-lock.json", "npm-shrinkwrap.json")
        )
        lines += [f"RUN npm {'ci' if locked else 'install'} --omit=dev"]
    lines += ["COPY . ./", f"CMD {json.dumps(start)}"]
    return Default(_lines(*lines), f"Node.js, started by {why}")


def _node_start(project: Path, package: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
    scripts = package.get("scripts")
    script = (
        cast("Mapping[str, object]", scripts).get("start") if isinstance(scripts, dict) else None
    )
    if isinstance(script, str):
        direct = _DIRECT_START.fullmatch(script.strip())
        if direct:
            return ("node", direct[1]), f"npm start, which is {script.strip()}"
        return ("npm", "start", "--silent"), "npm start"
    main = package.get("main")
    file = (
        main
        if isinstance(main, str) and (project / main).is_file()
        else _first(project, _NODE_FILES)
    )
    if file is None:
        raise BuildFailed("package.json has no start script, and there is no main.js to start.")
    return ("node", file), f"node {file}"


def _has_install_script(package: Mapping[str, object]) -> bool:
    names = {"preinstall", "install", "postinstall", "prepare"}
    return bool(names & _table(package, "scripts").keys())


def _table(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = parent.get(key)
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _package(project: Path) -> Mapping[str, object]:
    text = _text(project / "package.json")
    try:
        package: object = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise BuildFailed(f"package.json is not valid JSON: {error}.") from error
    if not isinstance(package, dict):
        raise BuildFailed("package.json must hold a JSON object.")
    return cast("Mapping[str, object]", package)


def _pyproject(project: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(_text(project / "pyproject.toml"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BuildFailed(f"pyproject.toml is not valid TOML: {error}.") from error


def _has_requirements(text: str) -> bool:
    return any(line.strip() and not line.strip().startswith("#") for line in text.splitlines())


def _text(path: Path) -> str:
    """A project file's text, empty when it is not there. The sources hold no links out of the tree."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES).decode("utf-8-sig", errors="replace")


def _first(project: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (project / name).is_file()), None)


def _lines(*lines: str) -> str:
    return "".join(line + "\n" for line in lines)
