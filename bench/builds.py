"""Builds: the first one of a project, with nothing kept yet, and the same again."""

import importlib.metadata
import json
import shutil
from collections.abc import Iterator, Mapping

from bench.plan import Plan
from bench.report import Goal, Result, Samples
from bench.server import Server
from bench.timing import timed
from bench.yardsticks import SDK_ACTOR

_TENTH = Goal(0.1)
_PYTHON_DOCKERFILE = (
    "FROM apify/actor-python:3.11\nCOPY requirements.txt ./\n"
    "RUN python --version && pip install -r requirements.txt\nCOPY . ./\n"
    'RUN python3 -m compileall -q .\nCMD ["python", "main.py"]\n'
)
_NODE_DOCKERFILE = (
    "FROM apify/actor-node:20\nCOPY package*.json ./\n"
    "RUN npm --quiet set progress=false && npm install --omit=dev && rm -r ~/.npm\n"
    "COPY . ./\nCMD npm start --silent\n"
)


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    for name, files in _projects(plan).items():
        yield first_and_again(server, plan, name, files)


def first_and_again(server: Server, plan: Plan, name: str, files: Mapping[str, str]) -> Result:
    built: list[str] = []
    first = Samples([timed(lambda: built.append(server.build(files)))])
    again = Samples([timed(lambda: server.build_again(built[0])) for _ in range(plan.rounds(5))])
    measured = {"again": again, "first": first}
    goal = None if plan.quick else _TENTH
    return Result(f"{name}, built again / first", again.p50 / first.p50, "x", goal, measured)


def python_project() -> Mapping[str, str]:
    requirements = f"apify=={importlib.metadata.version('apify')}\ncrawlee[parsel]\n"
    return {
        "requirements.txt": requirements,
        "Dockerfile": _PYTHON_DOCKERFILE,
        "main.py": SDK_ACTOR,
    }


def _projects(plan: Plan) -> Mapping[str, Mapping[str, str]]:
    if plan.quick:
        return {"shell Actor": {"Dockerfile": "FROM debian\nRUN sleep 1\nCMD true\n"}}
    projects: dict[str, Mapping[str, str]] = {"Python SDK Actor": python_project()}
    if shutil.which("npm"):
        package = {"dependencies": {"apify": "^3"}, "scripts": {"start": "node main.js"}}
        node = {"package.json": json.dumps(package), "Dockerfile": _NODE_DOCKERFILE, "main.js": ""}
        projects["JavaScript SDK Actor"] = node
    return projects
