"""What the builder without containers stands in for: images, a stage's own system, what only BuildKit knows."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard.builders.process.builder import ProcessBuilder
from callboard.builders.process.interpreters import own_python
from callboard.builders.process.tools.as_root import FIRST_UID
from callboard.executors.launcher.runners import NAMESPACES
from callboard.executors.process import Options, ProcessExecutor

from .conftest import Stage, Watcher
from .test_builders import SHELL, Workshop, build_cache, make_executor

__all__ = ["build_cache", "make_executor"]

needs_root_of_stages = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("bwrap", "apt-get", "dpkg-deb"))),
    reason="needs root, bubblewrap and apt",
)
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js and npm")


@pytest.fixture
def workshop(stage: Stage, build_cache: Path) -> Workshop:
    return Workshop(ProcessBuilder(), stage, stage, build_cache)


@pytest.fixture
async def workshop_without_bubblewrap(api_port: int, tmp_path: Path) -> AsyncIterator[Workshop]:
    executor = ProcessExecutor(tmp_path, Options(api_port=api_port, sandbox=NAMESPACES))
    stage = Stage(executor, Watcher(), tmp_path, tmp_path)
    await executor.open(stage.watcher)
    yield Workshop(ProcessBuilder(), stage, stage, tmp_path / "cache")
    await executor.close(stop_jobs=True)


async def test_documents_in_the_dockerfile_are_scripts_and_files(workshop: Workshop):
    dockerfile = (
        SHELL + "ARG WHO=world\nCOPY <<greeting <<'raw' ./\nhello $WHO\ngreeting\nhello $WHO\nraw\n"
        "RUN <<EOF\nset -e\ncat greeting raw > all\n# done\nEOF\n"
        "RUN <<EOF\n#!/usr/bin/env bash\n[[ a == a ]] && echo bash >> all\nEOF\n"
        "RUN cat <<EOF >> all\nread by the shell\nEOF\nCMD cat all"
    )
    assert await workshop.output({"Dockerfile": dockerfile}) == [
        "hello world",
        "hello $WHO",
        "bash",
        "read by the shell",
    ]


async def test_what_a_step_mounts_is_there_for_it_alone(workshop: Workshop):
    dockerfile = (
        "FROM debian AS other\nWORKDIR /made\nRUN echo from stage > x\nFROM debian\nWORKDIR /app\n"
        "RUN --mount=type=bind,source=list.txt,target=deep/list.txt "
        "--mount=type=bind,from=other,source=/made,target=/given --mount=type=cache,target=/cached "
        "cp deep/list.txt copy && cat /given/x >> copy && touch /cached/y && sleep 0.5\n"
        "CMD cat copy; ls -A /app; find /given /cached -type f"
    )
    files = {"Dockerfile": dockerfile, "list.txt": "listed\n"}
    for _ in ("built", "taken from what was kept"):
        assert await workshop.output(files) == ["listed", "from stage", "copy"]


@needs_node
async def test_node_is_copied_from_its_image(workshop: Workshop):
    dockerfile = (
        "FROM python:3.11-slim\nWORKDIR /app\nCOPY --from=node:20-slim /usr/local/bin/node /usr/local/bin/\n"
        "RUN node --version\nCMD node -p 6*7"
    )
    assert await workshop.output({"Dockerfile": dockerfile}) == ["42"]


async def test_the_log_says_which_interpreter_was_chosen(workshop: Workshop):
    built = await workshop.build({"Dockerfile": "FROM apify/actor-python:3.99\nCMD true"})
    assert built.end.exit_code == 0, built.text
    assert any("Python 3." in line and "of this machine" in line for line in built.log)
    assert any("3.99 is not installed here" in line for line in built.log)


@pytest.mark.skipif(own_python().in_system, reason="the system's Python has its packages elsewhere")
@pytest.mark.parametrize(
    "more", [{}, {"Dockerfile": "FROM python:3\nCOPY . ./\nCMD python main.py"}]
)
async def test_an_actor_does_not_see_the_packages_of_the_hosts_python(
    workshop: Workshop, more: dict[str, str]
):
    program = (
        "import os, sys\n"
        "print(*[name for path in sys.path if 'site-packages' in path for name in os.listdir(path)])\n"
    )
    packages = own_python().prefix / f"lib/python{own_python().shown}/site-packages"
    assert (packages / "pip").is_dir()
    assert await workshop.output({"main.py": program, **more}) == [""]


async def test_packages_of_another_system_are_skipped_by_name(workshop: Workshop):
    dockerfile = SHELL + "RUN apk add --no-cache coreutils nosuchpackage~=1\nCMD true"
    built = await workshop.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0
    (warning,) = (line for line in built.log if line.startswith("Warning: apk"))
    assert "nosuchpackage" in warning
    assert "coreutils" not in warning


async def test_without_the_best_sandbox_packages_are_skipped_by_name(
    workshop_without_bubblewrap: Workshop,
):
    dockerfile = SHELL + "RUN apt-get update && apt-get install -y bash nosuchpackage\nCMD true"
    built = await workshop_without_bubblewrap.build({"Dockerfile": dockerfile})
    assert built.end.exit_code == 0, built.text
    (warning,) = (line for line in built.log if line.startswith("Warning: apt-get"))
    assert warning.split()[-1] == "nosuchpackage"


@needs_root_of_stages
async def test_a_package_is_installed_into_the_stage_and_seen_by_the_run(
    workshop: Workshop, tmp_path: Path
):
    packaged = _package(tmp_path, "made-for-a-test", post="echo configured > /etc/made-for-a-test")
    dockerfile = (
        SHELL + "RUN dpkg -i made.deb && made-for-a-test\nRUN made-for-a-test; id -u\n"
        "FROM debian\nCOPY --from=0 /usr/bin/made-for-a-test /usr/local/bin/renamed\nCMD renamed"
    )
    built = await workshop.build({"Dockerfile": dockerfile, "made.deb": packaged})
    assert built.end.exit_code == 0, built.text
    assert built.log.count("it runs") == 2
    assert (await workshop.start(built))[1] == ["it runs"]
    alone = SHELL + "RUN dpkg -i made.deb\nCMD made-for-a-test && cat /etc/made-for-a-test"
    assert await workshop.output({"Dockerfile": alone, "made.deb": packaged}) == [
        "it runs",
        "configured",
    ]
    assert shutil.which("made-for-a-test") is None
    assert not Path("/etc/made-for-a-test").exists()


@needs_root_of_stages
async def test_a_package_comes_from_the_systems_own_source(workshop: Workshop):
    dockerfile = (
        "FROM debian\nRUN apt-get update -qq && apt-get upgrade -y "
        "&& apt-get install -y -qq --no-install-recommends hello && rm -rf /var/lib/apt/lists/*\n"
        "USER nobody\nRUN hello\nCMD hello -g 'from a package'"
    )
    built = await workshop.build({"Dockerfile": dockerfile})
    if any("Failed to fetch" in line or "no longer valid" in line for line in built.log):
        pytest.skip("needs a reachable source of packages")
    assert built.end.exit_code == 0, built.text
    assert (await workshop.start(built))[1] == ["from a package"]


@needs_root_of_stages
async def test_root_of_a_stage_is_nobody_on_the_host(workshop: Workshop, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    steps = (
        "id -u && cat /proc/self/uid_map && grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status",
        "cp /bin/sh /usr/bin/rooted && chmod 4755 /usr/bin/rooted && chown root:root /usr/bin/rooted",
        "cat /etc/shadow /etc/ssl/private/* 2>&1 | head -c 300; echo end",
        "mount -t tmpfs none /mnt 2>/dev/null || unshare -m true 2>/dev/null || echo no mounts",
        f"ln -sf {victim} /etc/passwd- && echo evil > {victim} || echo refused",
        "echo 1 > /proc/sys/kernel/sysrq || echo kernel refused; mknod /usr/bin/dev b 8 0 || echo no devices",
    )
    text = "FROM debian\n" + "".join(f"RUN {step}; ldconfig\n" for step in steps) + "CMD true"
    built = await workshop.build({"Dockerfile": text}, use_cache=False)
    assert built.end.exit_code == 0, built.text
    words = " ".join(" ".join(built.log).split())
    assert f" 0 {FIRST_UID} " in words
    assert "CapEff: 00000000000400fb" in words
    assert "NoNewPrivs: 1 Seccomp: 2" in words
    assert "no mounts" in words
    assert "refused" in words
    assert "kernel refused" in words
    assert "no devices" in words
    assert not any("$" in line for line in built.log if "root:" in line)
    assert victim.read_text() == "untouched"
    (rooted,) = built.folder.glob("root/usr/bin/rooted")
    status = rooted.stat()
    assert (status.st_uid, status.st_mode & 0o7000) == (FIRST_UID, 0)


@needs_root_of_stages
async def test_nothing_of_a_stage_is_run_by_who_still_has_rights(workshop: Workshop):
    fake = "#!/bin/sh\necho FAKE $(/usr/bin/id -u)\nexit 9\n"
    text = (
        SHELL + "RUN cp --remove-destination fake /usr/bin/setpriv && chmod 755 /usr/bin/setpriv\n"
        "RUN echo /nowhere.so > /etc/ld.so.preload\nRUN ldconfig && echo as root $(id -u)\n"
        "USER nobody\nRUN echo as user $(id -u)\nCMD echo as Actor $(id -u); setpriv"
    )
    built = await workshop.build({"Dockerfile": text, "fake": fake}, use_cache=False)
    assert built.end.exit_code == 0, built.text
    assert {"as root 0", "as user 64484"} <= set(built.log)
    _, log = await workshop.start(built)
    assert log == ["as Actor 64484", "FAKE 64484"]
    assert not any(
        "FAKE" in line or "nowhere.so" in line for line in built.log if line[:4] != "Step"
    )


def _package(folder: Path, name: str, *, post: str) -> bytes:
    """A system package with one program."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    fields = {
        "Package": name,
        "Version": "1",
        "Architecture": "all",
        "Maintainer": "Test <t@example.com>",
    }
    control = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (tree / "DEBIAN/control").write_text(control + "Description: made\n")
    (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\n{post}\n")
    (tree / f"usr/bin/{name}").write_text("#!/bin/sh\necho it runs\n")
    for file in ("DEBIAN/postinst", f"usr/bin/{name}"):
        (tree / file).chmod(0o755)
    target = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, target], check=True)
    return target.read_bytes()
