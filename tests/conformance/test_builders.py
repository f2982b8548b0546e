"""Every builder turns real little projects into Actors that run, and refuses others in words people understand.

Builds go through a real executor, and what they make is started by it, as the server does.
"""

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from callboard.builders.base import Builder, BuildResult, BuildSpec
from callboard.builders.process.builder import ProcessBuilder
from callboard.builders.sources import write_source_files
from callboard.executors.base import Exit, ExitCause, LaunchSpec, Mount, MountMode
from callboard.executors.process import Options, ProcessExecutor

from .conftest import Maker, Stage

PYTHON = "FROM apify/actor-python:3.11\n"
SHELL = "FROM alpine:3.20\nWORKDIR /usr/src/app\nCOPY . ./\n"
SCHEMA = '{"title": "t", "type": "object", "schemaVersion": 1, "properties": {}}'


@dataclass(frozen=True)
class Built:
    """How a build went."""

    end: Exit
    log: list[str]
    result: BuildResult | None
    folder: Path

    @property
    def image_argv(self) -> tuple[str, ...]:
        assert self.result is not None, self.log
        return self.result.image.argv


@dataclass(frozen=True)
class Workshop:
    """A builder with an executor to carry its builds out."""

    builder: Builder
    stage: Stage
    cache: Path

    def spec(self, files: dict[str, str], **changes: object) -> LaunchSpec:
        build_id = f"build{os.urandom(6).hex()}"
        folder = self.stage.work / build_id
        folder.mkdir()
        sources = [
            {"name": name, "format": "TEXT", "content": text} for name, text in files.items()
        ]
        write_source_files(sources, folder / "source")
        spec = BuildSpec(
            build_id, str(folder), str(self.cache), "me/actor", "0.1.1", True, {}, 1024, 120
        )
        for name, value in changes.items():
            spec = replace_field(spec, name, value)
        return self.builder.launch_spec(spec, log_path=self.stage.work / f"{build_id}.log")

    async def build(self, files: dict[str, str], **changes: object) -> Built:
        spec = self.spec(files, **changes)
        end, log = await self.stage.run(spec)
        return Built(end, log, self.builder.result(Path(spec.cwd)), Path(spec.cwd))

    async def start(self, built: Built, **changes: object) -> tuple[Exit, list[str]]:
        """Run what was built, as a run of the Actor is started."""
        assert built.result is not None, built.log
        image = built.result.image
        mounts = [Mount(built.folder / m.source, m.target, MountMode(m.mode)) for m in image.mounts]
        spec = self.stage.spec("/bin/true")
        spec = replace(
            spec, argv=image.argv, env=dict(image.env), cwd=image.cwd, mounts=tuple(mounts)
        )
        return await self.stage.run(replace(spec, memory_mbytes=512, **changes))

    async def output(self, files: dict[str, str]) -> list[str]:
        """What the Actor made of the files prints. Build and run must succeed."""
        built = await self.build(files)
        assert built.end.exit_code == 0, built.log
        end, log = await self.start(built)
        assert end.exit_code == 0, log
        return log


def replace_field(spec: BuildSpec, name: str, value: object) -> BuildSpec:
    return BuildSpec(
        **{field: getattr(spec, field) for field in spec.__struct_fields__} | {name: value}
    )


@pytest.fixture(scope="session")
def make_executor(api_port: int) -> Maker:
    """One executor here: the rungs of the sandbox are told apart where executors are tested."""
    return Maker(lambda folder: ProcessExecutor(folder, Options(api_port=api_port)))


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=[ProcessBuilder], ids=["process"])
async def workshop(
    request: pytest.FixtureRequest, stage: Stage, build_cache: Path
) -> AsyncIterator[Workshop]:
    yield Workshop(request.param(), stage, build_cache)


async def test_a_python_file_is_built_and_started_without_more(workshop: Workshop):
    built = await workshop.build({"main.py": "import sys; print(sys.version_info[:1])"})
    assert built.end.exit_code == 0, built.log
    _, log = await workshop.start(built)
    assert log == ["(3,)"]
    assert built.image_argv[0].startswith(
        (sys.base_prefix, "/usr/bin")
    )  # no environment in between


async def test_a_python_package_is_started_as_a_module_and_byte_compiled(workshop: Workshop):
    built = await workshop.build(
        {"src/__init__.py": "", "src/__main__.py": "import src; print(src.__cached__)"}
    )
    assert built.image_argv[1:] == ("-m", "src")
    assert list(built.folder.glob("root/**/src/__pycache__/*.pyc"))


async def test_requirements_are_installed_and_cached_for_the_next_build(workshop: Workshop):
    files = {"main.py": "import six; print(six.PY3)", "requirements.txt": "six==1.17.0\n"}
    assert await workshop.output(files) == ["True"]
    again = await workshop.build(files | {"main.py": "import six; print('changed', six.PY3)"})
    assert any("pip install -r requirements.txt (cached)" in line for line in again.log)
    assert (await workshop.start(again))[1] == ["changed True"]


async def test_a_project_table_says_what_to_install(workshop: Workshop):
    project = '[project]\nname = "a"\nversion = "1"\ndependencies = ["six"]\n'
    files = {
        "pyproject.toml": project,
        "my_actor/__init__.py": "",
        "my_actor/__main__.py": "import six; print('ok')",
    }
    assert await workshop.output(files) == ["ok"]


async def test_a_node_project_is_installed_and_started(workshop: Workshop):
    package = '{"name": "a", "scripts": {"start": "node main.js"}, "dependencies": {"is-number": "7.0.0"}}'
    files = {"package.json": package, "main.js": "console.log(require('is-number')('5'))"}
    assert await workshop.output(files) == ["true"]


async def test_a_shell_actor_runs_with_any_base_image(workshop: Workshop):
    assert await workshop.output(
        {"Dockerfile": SHELL + 'CMD ["sh", "main.sh"]', "main.sh": "echo hi"}
    ) == ["hi"]


async def test_a_shell_form_command_sees_the_environment_of_the_dockerfile(workshop: Workshop):
    dockerfile = (
        SHELL + "ARG WHO=world\nENV GREETING=hello TO=$WHO\nCMD echo $GREETING $TO && ./main"
    )
    assert await workshop.output({"Dockerfile": dockerfile, "main": "#!/bin/sh\necho ran"}) == [
        "hello world",
        "ran",
    ]


async def test_entrypoint_and_command_are_joined(workshop: Workshop):
    dockerfile = SHELL + 'ENTRYPOINT ["echo", "a"]\nCMD ["b"]'
    assert await workshop.output({"Dockerfile": dockerfile}) == ["a b"]


async def test_stages_pass_files_on_also_at_the_top_of_the_tree(workshop: Workshop):
    dockerfile = (
        "FROM debian AS build\nWORKDIR /work\nCOPY *.txt data? ./\nRUN mkdir /out && cat a.txt b.txt > /out/all.txt\n"
        "FROM build AS unused\nRUN exit 9\n"
        "FROM debian\nCOPY --from=build --chown=myuser:myuser /out /data\nRUN echo more >> /data/all.txt\n"
        "CMD cat /data/all.txt"
    )
    files = {"Dockerfile": dockerfile, "a.txt": "a\n", "b.txt": "b\n", "c.md": "c\n"}
    assert await workshop.output(files) == ["a", "b", "more"]


async def test_python_packages_can_be_copied_from_another_stage(workshop: Workshop):
    packages = "/usr/local/lib/python3.11/site-packages"
    dockerfile = (
        "FROM python:3.11 AS build\nRUN pip install --no-cache-dir six\n"
        f"FROM python:3.11-slim\nWORKDIR /app\nCOPY --from=build {packages} {packages}\nCOPY . .\n"
        "ENTRYPOINT python main.py"
    )
    assert await workshop.output(
        {"Dockerfile": dockerfile, "main.py": "import six; print(six.__file__[:11])"}
    ) == ["/usr/local/"]


async def test_a_node_project_is_compiled_in_a_stage_of_its_own(workshop: Workshop):
    dockerfile = (
        "FROM node:20 AS build\nWORKDIR /usr/src/app\nCOPY package*.json ./\nRUN npm install --include=dev\n"
        "COPY . ./\nRUN npm run build\nFROM node:20\nWORKDIR /usr/src/app\nCOPY package*.json ./\n"
        "RUN npm --quiet set progress=false && npm install --omit=dev && rm -r ~/.npm\n"
        "COPY --from=build /usr/src/app/dist ./dist\nCMD npm start --silent"
    )
    scripts = '"build": "mkdir dist && cp main.ts dist/main.js", "start": "node dist/main.js"'
    package = f'{{"name": "a", "scripts": {{{scripts}}}}}'
    assert await workshop.output(
        {"Dockerfile": dockerfile, "package.json": package, "main.ts": "console.log(7)"}
    ) == ["7"]


async def test_files_may_be_copied_to_the_top_and_started_there(workshop: Workshop):
    dockerfile = (
        'FROM alpine\nCOPY . /\nRUN mkdir /state && echo made > /state/x\nENTRYPOINT ["/main"]'
    )
    files = {
        "Dockerfile": dockerfile,
        "main": "#!/bin/sh\ncat /state/x /lib.txt",
        "lib.txt": "lib\n",
    }
    assert await workshop.output(files) == ["made", "lib"]


async def test_steps_run_as_an_ordinary_user_in_a_home_of_their_own(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN rm -r ~/.npm && echo kept > ~/note && chown myuser:myuser .\nRUN cat ~/note; id -u\nCMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0, built.log
    assert "kept" in built.log
    assert "0" not in built.log


async def test_system_packages_are_skipped_with_a_warning_that_names_them(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN apt-get update && apt-get install -y --no-install-recommends coreutils nosuchpackage\nCMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0
    assert any(
        "Warning" in line and "nosuchpackage" in line and "coreutils" not in line
        for line in built.log
    )


async def test_a_failing_step_fails_the_build_in_the_tools_own_words(workshop: Workshop):
    dockerfile = PYTHON + "RUN pip install 'no such package'\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile})
    assert (built.end.cause, built.end.exit_code, built.result) == (ExitCause.EXITED, 1, None)
    assert any("no such package" in line and "error" in line.lower() for line in built.log[:-1])
    assert built.log[-1].startswith(
        "Build failed: Step 2/3 failed with exit code 2: RUN pip install"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There is nothing to build"),
        ({"Dockerfile": "RUN true"}, "only ARG may come before FROM"),
        ({"Dockerfile": "FROM x\nCOPY nothing.txt ./"}, "COPY: nothing.txt is not there"),
        ({"Dockerfile": "FROM x\nCOPY ../../../../etc/passwd ./"}, "is not there"),
        ({"Dockerfile": "FROM x\nFETCH a"}, "line 2: unknown instruction 'FETCH'"),
        ({".actor/actor.json": "{"}, "actor.json is not valid JSON"),
        ({".actor/INPUT_SCHEMA.json": "{}", "main.py": ""}, "nput schema is not valid"),
        ({"package.json": "[]"}, "package.json must hold a JSON object"),
    ],
)
async def test_what_cannot_be_built_is_refused_in_the_last_line(
    workshop: Workshop, files: dict[str, str], message: str
):
    built = await workshop.build(files or {"notes.txt": ""})
    assert built.end.exit_code == 1
    assert message in built.log[-1]


async def test_the_definition_is_read_with_its_schemas_in_place(workshop: Workshop):
    actor = '{"actorSpecification": 1, "name": "a", "version": "0.1", "input": "./in.json"}'
    files = {
        ".actor/actor.json": actor,
        ".actor/in.json": SCHEMA,
        "README.md": "# Read me",
        "main.py": "",
    }
    result = (await workshop.build(files)).result
    assert result is not None
    assert result.input_schema == SCHEMA
    assert result.readme == "# Read me"
    assert result.actor_definition is not None
    assert result.actor_definition["input"]["title"] == "t"  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]


async def test_a_build_is_aborted_with_everything_it_started(workshop: Workshop):
    spec = workshop.spec(
        {"Dockerfile": SHELL + "RUN echo sleeping $$; sleep 1000 & wait\nCMD true"}
    )
    handle = await workshop.stage.executor.start(spec)
    await workshop.stage.watcher.until(
        lambda: any("sleeping" in line for line in workshop.stage.log(spec)[3:])
    )
    await workshop.stage.executor.stop(handle)
    end = await workshop.stage.wait(handle)
    assert end.cause == ExitCause.STOPPED
    assert workshop.builder.result(Path(spec.cwd)) is None


async def test_a_build_times_out(workshop: Workshop):
    built = await workshop.build(
        {"Dockerfile": SHELL + "RUN sleep 1000\nCMD true"}, timeout_secs=1.5
    )
    assert (built.end.cause, built.result) == (ExitCause.TIMEOUT, None)


async def test_a_log_streams_while_the_step_runs(workshop: Workshop):
    spec = workshop.spec({"Dockerfile": SHELL + "RUN echo first line && sleep 1000\nCMD true"})
    handle = await workshop.stage.executor.start(spec)
    await workshop.stage.until_logged(spec, "first line")
    await workshop.stage.executor.stop(handle)
    await workshop.stage.wait(handle)


async def test_build_arguments_reach_steps_that_declare_them_and_no_others(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN echo before [$COLOUR]\nARG COLOUR=blue\nRUN echo after [$COLOUR]\nCMD echo run [$COLOUR]"
    )
    built = await workshop.build({"Dockerfile": dockerfile}, build_args={"COLOUR": "red"})
    assert [line for line in built.log if line.startswith(("before", "after"))] == [
        "before []",
        "after [red]",
    ]
    assert (await workshop.start(built))[1] == ["run []"]


async def test_the_servers_environment_does_not_reach_steps(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CALLBOARD_SECRET_OF_SERVER", "hidden")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "77")
    built = await workshop.build({"Dockerfile": SHELL + "RUN env\nCMD true"}, use_cache=False)
    assert not any("SECRET_OF_SERVER" in line for line in built.log)
    assert "UV_HTTP_TIMEOUT=77" in built.log


async def test_links_made_by_a_step_lead_nowhere_outside(workshop: Workshop, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.mkdir()
    dockerfile = f"FROM alpine\nWORKDIR /app\nRUN ln -s {victim} out && ln -s ../../../../../../..{victim} up\n"
    dockerfile += "COPY evil.txt out/\nCOPY evil.txt up/\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile, "evil.txt": "evil"})
    assert built.end.exit_code == 0, built.log
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("name", ["home/actor", "tmp"])
async def test_no_copied_link_takes_the_place_of_a_folder_of_the_sandbox(
    workshop: Workshop, name: str
):
    dockerfile = (
        f"FROM alpine AS a\nWORKDIR /d/{name}\nRUN rmdir /d/{name} && ln -s /etc /d/{name}\n"
        f"FROM alpine\nRUN rm -rf ~/.npm\nCOPY --from=a /d /\nRUN ls -a ~ /tmp\nCMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 1
    assert not any("passwd" in line for line in built.log)


async def test_what_a_run_writes_is_gone_in_the_next(workshop: Workshop):
    files = {
        "Dockerfile": SHELL + "CMD cat new data; echo x > new && echo y >> data",
        "data": "given\n",
        "new": "",
    }
    built = await workshop.build(files)
    assert (await workshop.start(built))[1] == ["given"]
    assert (await workshop.start(built))[1] == ["given"]


async def test_a_later_step_does_not_change_what_an_earlier_build_kept(workshop: Workshop):
    first = SHELL.replace("COPY . ./", "COPY a.txt ./") + "RUN sleep 0.3 && echo kept > state\n"
    changing = {
        "Dockerfile": first + "RUN sleep 0.3 && echo spoilt >> state\nCMD cat state",
        "a.txt": "1",
    }
    assert await workshop.output(changing) == ["kept", "spoilt"]
    assert await workshop.output({"Dockerfile": first + "CMD cat state", "a.txt": "1"}) == ["kept"]


async def test_an_interrupted_build_can_be_started_again(workshop: Workshop):
    spec = workshop.spec(
        {
            "Dockerfile": SHELL
            + "RUN echo begun > state && echo sleeping && sleep 0.5\nCMD cat state"
        }
    )
    handle = await workshop.stage.executor.start(spec)
    await workshop.stage.until_logged(spec, "sleeping")
    await workshop.stage.executor.stop(handle)
    await workshop.stage.wait(handle)
    end, log = await workshop.stage.run(replace(spec, job_id=spec.job_id + "b"))
    assert end.exit_code == 0, log
    assert workshop.builder.result(Path(spec.cwd)) is not None


async def test_removing_a_build_leaves_nothing_and_can_be_repeated(workshop: Workshop):
    built = await workshop.build({"main.py": ""})
    workshop.builder.remove(built.folder)
    workshop.builder.remove(built.folder)
    assert not built.folder.exists()
    assert workshop.builder.result(built.folder) is None
