"""Every builder turns real little projects into Actors that run, and refuses others in words people understand.

Builds go through a real executor, and what they make is started by it, as the server does.
"""

import asyncio
import io
import os
import re
import sys
import tarfile
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from callboard.builders.base import Builder, BuildResult, BuildSpec
from callboard.builders.docker.builder import DockerBuilder
from callboard.builders.docker.place import Place
from callboard.builders.process.builder import ProcessBuilder
from callboard.builders.sources import write_source_files
from callboard.executors.base import Exit, ExitCause, LaunchSpec, Mount, MountMode
from callboard.executors.docker.engine import Engine, path_of
from callboard.executors.docker.executor import DockerExecutor
from callboard.executors.docker.executor import Options as DockerOptions
from callboard.executors.docker.network import network_name
from callboard.executors.docker.records import instance_of
from callboard.executors.process import Options, ProcessExecutor
from tests.engines import ContainerEngine

from .conftest import Maker, Stage

pytestmark = pytest.mark.xdist_group("docker")

PYTHON = "FROM apify/actor-python:3.11\n"
SHELL = "FROM alpine:3.20\nWORKDIR /usr/src/app\nCOPY . ./\n"
SCHEMA = '{"title": "t", "type": "object", "schemaVersion": 1, "properties": {}}'


INTERPRETING = pytest.mark.parametrize("workshop", ["process"], indirect=True)
"""For what an engine does with a Dockerfile by itself, and for what no image is here for."""


@dataclass(frozen=True)
class Built:
    """How a build went."""

    end: Exit
    log: list[str]
    result: BuildResult | None
    folder: Path

    @property
    def text(self) -> str:
        """The whole log, for whoever reads that a test failed: lists are shortened there."""
        return "\n".join(self.log)

    @property
    def image_argv(self) -> tuple[str, ...]:
        assert self.result is not None, self.text
        return self.result.image.argv


@dataclass(frozen=True)
class Workshop:
    """A builder with an executor to carry its builds out."""

    builder: Builder
    stage: Stage
    """For the builds."""
    runs: Stage
    """For what they made."""
    cache: Path

    def spec(self, files: Mapping[str, str | bytes], **changes: object) -> LaunchSpec:
        build_id = f"build{os.urandom(6).hex()}"
        folder = self.stage.work / build_id
        folder.mkdir()
        write_source_files([source_file(*item) for item in files.items()], folder / "source")
        spec = BuildSpec(
            build_id, str(folder), str(self.cache), "me/actor", "0.1.1", True, {}, 1024, 120
        )
        for name, value in changes.items():
            spec = replace_field(spec, name, value)
        return self.builder.launch_spec(spec, log_path=self.stage.work / f"{build_id}.log")

    async def build(self, files: Mapping[str, str | bytes], **changes: object) -> Built:
        spec = self.spec(files, **changes)
        end, log = await self.stage.run(spec)
        return Built(end, log, self.builder.result(Path(spec.cwd)), Path(spec.cwd))

    async def start(self, built: Built, **changes: object) -> tuple[Exit, list[str]]:
        """Run what was built, as a run of the Actor is started."""
        assert built.result is not None, built.text
        image = built.result.image
        mounts = [Mount(built.folder / m.source, m.target, MountMode(m.mode)) for m in image.mounts]
        spec = replace(
            self.runs.spec("/bin/true"),
            argv=image.argv,
            env=dict(image.env),
            cwd=image.cwd,
            mounts=tuple(mounts),
            image=image.reference,
            user=image.user,
        )
        return await self.runs.run(replace(spec, memory_mbytes=512, **changes))

    async def output(self, files: Mapping[str, str | bytes]) -> list[str]:
        """What the Actor made of the files prints. Build and run must succeed."""
        built = await self.build(files)
        assert built.end.exit_code == 0, built.text
        end, log = await self.start(built)
        assert end.exit_code == 0, log
        return log


def source_file(name: str, content: str | bytes) -> dict[str, str]:
    if isinstance(content, str):
        return {"name": name, "format": "TEXT", "content": content}
    return {"name": name, "format": "BASE64", "content": b64encode(content).decode()}


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


@pytest.fixture(scope="module")
async def containers(
    request: pytest.FixtureRequest, api_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stage, Builder]]:
    """What builds container images, and what runs them."""
    engine: ContainerEngine = request.getfixturevalue("dockerd")
    image: str = request.getfixturevalue("python_image")
    folder = tmp_path_factory.mktemp("containers")
    maker = Maker(
        lambda data_dir: DockerExecutor(data_dir, DockerOptions(engine.url, api_port)), image
    )
    stage = maker.stage(folder, folder)
    await stage.executor.open(stage.watcher)
    await _stand_in(
        engine.url, "callboard/base-python", ("debian:12", "debian", "alpine", "alpine:3.20", "x")
    )
    await _stand_in(engine.url, image, ("python:3.11", "python:3.11-slim"))
    instance = instance_of(folder / "docker")
    yield stage, DockerBuilder(Place(engine.url, network_name(instance), instance))
    await stage.executor.close(stop_jobs=True)


async def _stand_in(url: str, image: str, names: Sequence[str]) -> None:
    """Give a local image the names of others, which no registry is asked for then."""
    async with Engine(url) as engine:
        for name in names:
            repository, _, tag = name.partition(":")
            params = {"repo": repository, "tag": tag or "latest"}
            await engine.ask("POST", path_of("images", image, "tag"), params=params)


@pytest.fixture(params=["process", "docker"])
def workshop(
    request: pytest.FixtureRequest, stage: Stage, build_cache: Path, tmp_path: Path
) -> Workshop:
    if request.param == "process":
        return Workshop(ProcessBuilder(), stage, stage, build_cache)
    runs, builder = request.getfixturevalue("containers")
    return Workshop(builder, stage, replace(runs, work=tmp_path), build_cache)


async def test_a_python_file_is_built_and_started_without_more(workshop: Workshop):
    built = await workshop.build({"main.py": "import sys; print(sys.version_info[:1])"})
    assert built.end.exit_code == 0, built.text
    _, log = await workshop.start(built)
    assert log == ["(3,)"]
    if workshop.builder.name == "process":
        # No environment in between.
        assert built.image_argv[0].startswith((sys.base_prefix, "/usr/bin"))


@INTERPRETING
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
    cached = ("pip install -r requirements.txt (cached)", "Using cache")
    assert any(text in line for text in cached for line in again.log)
    assert (await workshop.start(again))[1] == ["changed True"]


async def test_a_project_table_says_what_to_install(workshop: Workshop):
    project = '[project]\nname = "a"\nversion = "1"\ndependencies = ["six"]\n'
    files = {
        "pyproject.toml": project,
        "my_actor/__init__.py": "",
        "my_actor/__main__.py": "import six; print('ok')",
    }
    assert await workshop.output(files) == ["ok"]


@INTERPRETING
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


@INTERPRETING
async def test_stages_pass_files_on_also_at_the_top_of_the_tree(workshop: Workshop):
    dockerfile = (
        "FROM debian AS build\nWORKDIR /work\nCOPY *.txt data? ./\nRUN mkdir /out && cat a.txt b.txt > /out/all.txt\n"
        "FROM build AS unused\nRUN exit 9\n"
        "FROM debian\nCOPY --from=build --chown=myuser:myuser /out /data\nRUN echo more >> /data/all.txt\n"
        "CMD cat /data/all.txt"
    )
    files = {"Dockerfile": dockerfile, "a.txt": "a\n", "b.txt": "b\n", "c.md": "c\n"}
    assert await workshop.output(files) == ["a", "b", "more"]


@INTERPRETING
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


@INTERPRETING
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


async def test_the_ignore_file_leaves_out_what_it_names_but_for_exceptions(workshop: Workshop):
    files = {
        "Dockerfile": SHELL + 'CMD ["find", ".", "-type", "f", "-name", "*.txt"]',
        ".dockerignore": "# not these\n**/*.txt\n!kept.txt\n!deep\nprivate\n",
        "a.txt": "",
        "kept.txt": "",
        "deep/b.txt": "",
        "private/c.txt": "",
        "other/d.txt": "",
    }
    assert sorted(await workshop.output(files)) == ["./deep/b.txt", "./kept.txt"]


async def test_the_definition_names_dockerfile_and_context(workshop: Workshop):
    actor = (
        '{"actorSpecification": 1, "name": "a", "version": "0.1", "dockerfile": "./made.Dockerfile"'
    )
    files = {
        "actors/one/.actor/actor.json": actor + ', "dockerContextDir": "../words"}',
        "actors/one/.actor/made.Dockerfile": SHELL + "CMD cat word.txt",
        "actors/one/Dockerfile": "FROM x\nRUN exit 9\n",
        "actors/one/words/word.txt": "found",
    }
    inside = {name.removeprefix("actors/one/"): text for name, text in files.items()}
    assert await workshop.output(inside) == ["found"]


@INTERPRETING
async def test_files_land_at_absolute_paths_of_the_system_and_beside_it(workshop: Workshop):
    dockerfile = (
        "FROM debian\nCOPY a.txt /etc/made/a.txt\nCOPY a.txt /opt/deep/er/\nCOPY a.txt /var/made.txt\n"
        "COPY a.txt /usr/share/made/\nWORKDIR /srv/work\nCOPY a.txt renamed.txt\n"
        "CMD cat /etc/made/a.txt /opt/deep/er/a.txt /var/made.txt /usr/share/made/a.txt renamed.txt"
    )
    assert await workshop.output({"Dockerfile": dockerfile, "a.txt": "a\n"}) == ["a"] * 5


@INTERPRETING
async def test_another_shell_runs_steps_and_commands(workshop: Workshop):
    dockerfile = (
        "FROM debian\nWORKDIR /app\n"
        'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'
        "RUN false | true || echo caught > state\nCMD cat state && [[ a == a ]] && echo bash"
    )
    assert await workshop.output({"Dockerfile": dockerfile}) == ["caught", "bash"]


async def test_variables_have_defaults_and_alternatives(workshop: Workshop):
    dockerfile = (
        "ARG TAG=12\nFROM debian:${TAG}\nARG TAG=none\nENV A=1 B=\nENV C=$A-${B:-empty}-${NO:+set}-${A:+set}\n"
        'ENV D "two words"\nWORKDIR /app/${C}\nCMD echo $TAG $C $D; pwd'
    )
    log = await workshop.output({"Dockerfile": dockerfile})
    assert log == ["1-empty--set two words", "/app/1-empty--set"]


@INTERPRETING
async def test_archives_are_unpacked_by_add_and_copied_by_copy(workshop: Workshop):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("inner/a.txt")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"a\n"))
    dockerfile = (
        "FROM debian\nWORKDIR /app\nADD packed.tgz note.txt unpacked/\nCOPY packed.tgz ./\n"
        "CMD cat unpacked/inner/a.txt unpacked/note.txt && ls packed.tgz"
    )
    files = {"Dockerfile": dockerfile, "packed.tgz": packed.getvalue(), "note.txt": "n\n"}
    assert await workshop.output(files) == ["a", "n", "packed.tgz"]


@INTERPRETING
async def test_rights_are_kept_or_changed(workshop: Workshop):
    dockerfile = "FROM debian\nWORKDIR /app\nCOPY run.sh ./\nCOPY --chmod=755 plain ./\nCMD ./run.sh && ./plain"
    files = {
        "Dockerfile": dockerfile,
        "run.sh": "#!/bin/sh\necho script",
        "plain": "#!/bin/sh\necho plain",
    }
    assert await workshop.output(files) == ["script", "plain"]


@INTERPRETING
async def test_put_off_instructions_are_done_where_the_stage_is_built_on(workshop: Workshop):
    dockerfile = (
        "FROM debian AS base\nWORKDIR /app\nONBUILD COPY a.txt ./\nONBUILD RUN cat a.txt > b.txt\n"
        "FROM base\nHEALTHCHECK CMD true\nEXPOSE 80/tcp\nLABEL a=b\nSTOPSIGNAL SIGTERM\nCMD cat b.txt"
    )
    assert await workshop.output({"Dockerfile": dockerfile, "a.txt": "late\n"}) == ["late"]


@INTERPRETING
async def test_nothing_a_step_leaves_running_outlives_it(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN (setsid sh -c 'sleep 2; echo alive >> /usr/src/app/late' &) && echo left\nRUN sleep 2.5; ls\nCMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0, built.text
    assert "left" in built.log
    assert not any("late" in line.split() for line in built.log[4:])


async def test_a_step_that_eats_memory_ends_the_build(workshop: Workshop):
    dockerfile = SHELL + "RUN echo eating && tail /dev/zero\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile}, memory_mbytes=256)
    assert built.result is None
    assert any("eating" in line.split() for line in built.log)
    if workshop.builder.name == "process":
        assert (built.end.cause, built.end.exit_code) == (ExitCause.OUT_OF_MEMORY, 137)
        assert built.log[-1] == "ACTOR: Memory limit of 256 MB exceeded, the job was stopped."
    else:  # the engine ends the step, not its driver
        assert (built.end.cause, built.end.exit_code) == (ExitCause.EXITED, 1)
        assert built.log[-1].startswith("Build failed: Step 4/7 failed with exit code 137: ")


@INTERPRETING
@pytest.mark.parametrize(
    "step",
    [
        "for i in $(seq 60); do head -c 8000000 /dev/zero >$HOME/$i; sleep 0.1; done",
        "head -c 400000000 /dev/zero >$HOME/one",
    ],
    ids=["many files", "one file"],
)
async def test_a_step_that_fills_the_disk_ends_the_build(workshop: Workshop, step: str):
    dockerfile = SHELL + f"RUN echo filling && {step}\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile}, memory_mbytes=64)
    assert (built.end.cause, built.result) == (ExitCause.OUT_OF_DISK, None)
    assert "filling" in built.log
    assert built.log[-1] == "ACTOR: Disk limit of 128 MB exceeded, the job was stopped."


async def test_a_step_may_print_anything_and_as_much(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN printf 'bytes \\377\\000 end\\n' && yes 0123456789abcdef | head -c 20000000 && echo last words\n"
        "CMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile}, use_cache=False)
    assert built.end.exit_code == 0
    assert any("last words" in line for line in built.log[-20:])


@INTERPRETING
async def test_a_step_that_ignores_the_signal_is_aborted_all_the_same(workshop: Workshop):
    spec = workshop.spec(
        {"Dockerfile": SHELL + "RUN trap '' TERM; echo stubborn; while :; do sleep 9; done"}
    )
    handle = await workshop.stage.executor.start(spec)
    await workshop.stage.watcher.until(
        lambda: any(line == "stubborn" for line in workshop.stage.log(spec))
    )
    await workshop.stage.executor.stop(handle, grace_secs=0.3)
    assert (await workshop.stage.wait(handle)).cause == ExitCause.STOPPED


async def test_building_again_without_changes_repeats_no_step(workshop: Workshop):
    # A step that is repeated draws another word. Short ones are not worth keeping to every builder.
    drawing = "cat /proc/sys/kernel/random/uuid > state"
    files = {
        "Dockerfile": SHELL
        + f"RUN sleep 0.6 && : {os.urandom(4).hex()} && {drawing}\nCMD cat state"
    }
    first, again = await workshop.build(files), await workshop.build(files)
    _, drawn = await workshop.start(first)
    assert len(drawn) == 1
    assert (await workshop.start(again))[1] == drawn


@INTERPRETING
async def test_steps_run_as_an_ordinary_user_in_a_home_of_their_own(workshop: Workshop):
    dockerfile = (
        SHELL
        + "RUN rm -r ~/.npm && echo kept > ~/note && chown myuser:myuser .\nRUN cat ~/note; id -u\nCMD true"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0, built.text
    assert "kept" in built.log
    assert "0" not in built.log


@INTERPRETING
async def test_system_packages_that_are_there_need_no_installing(workshop: Workshop):
    dockerfile = SHELL + "RUN apt-get install -y --no-install-recommends coreutils\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0, built.text
    assert not any(line.startswith(("Get:", "Warning:")) for line in built.log)


async def test_a_failing_step_fails_the_build_in_the_tools_own_words(workshop: Workshop):
    dockerfile = PYTHON + "RUN pip install 'no such package'\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile})
    assert (built.end.cause, built.end.exit_code, built.result) == (ExitCause.EXITED, 1, None)
    assert any("no such package" in line and "error" in line.lower() for line in built.log[:-1])
    assert re.match(
        r"Build failed: Step 2/\d failed with exit code [12]: RUN pip install", built.log[-1]
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There is nothing to build"),
        ({"Dockerfile": "RUN true"}, "only ARG may come before FROM|no build stage"),
        (
            {"Dockerfile": "FROM x\nCOPY nothing.txt ./"},
            "COPY: nothing.txt is not there|stat nothing.txt",
        ),
        ({"Dockerfile": "FROM x\nCOPY ../../../../etc/passwd ./"}, "is not there|forbidden path"),
        ({"Dockerfile": "FROM x\nFETCH a"}, "line 2: unknown instruction:? '?FETCH"),
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
    assert re.search(message, built.log[-1])


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
    if workshop.builder.name == "process":  # in an image nothing of this machine's is known
        assert "UV_HTTP_TIMEOUT=77" in built.log


@INTERPRETING
async def test_links_made_by_a_step_lead_nowhere_outside(workshop: Workshop, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.mkdir()
    dockerfile = f"FROM alpine\nWORKDIR /app\nRUN ln -s {victim} out && ln -s ../../../../../../..{victim} up\n"
    dockerfile += "COPY evil.txt out/\nCOPY evil.txt up/\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile, "evil.txt": "evil"})
    assert built.end.exit_code == 0, built.text
    assert list(victim.iterdir()) == []


@INTERPRETING
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
        "Dockerfile": PYTHON
        + "COPY --chown=myuser:myuser . ./\nCMD cat new data; echo x > new && echo y >> data",
        "data": "given\n",
        "new": "",
    }
    built = await workshop.build(files)
    assert (await workshop.start(built))[1] == ["given"]
    assert (await workshop.start(built))[1] == ["given"]


@INTERPRETING
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
    await asyncio.to_thread(workshop.builder.remove, built.folder)
    await asyncio.to_thread(workshop.builder.remove, built.folder)
    assert not built.folder.exists()
    assert workshop.builder.result(built.folder) is None
