"""The parts of builds with an engine that need none: contexts, messages, users, base images."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from callboard.builders.definition import read_definition
from callboard.builders.docker.base_images import NODE, PYTHON, installed_version, second_layer
from callboard.builders.docker.builder import DockerBuilder
from callboard.builders.docker.context import pack, read_recipe
from callboard.builders.docker.defaults import default_text
from callboard.builders.docker.installed import read_packages, with_dependencies
from callboard.builders.docker.messages import BuildMessages
from callboard.builders.docker.place import Place
from callboard.builders.docker.users import image_user
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.registries import Registries

PASSWD = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1001::/home/me:\nevil:x:0:0::/:\nbroken\n"
GROUP = "root:x:0:\nteam:x:1002:me\n"
STATUS = """\
Package: python3
Status: install ok installed
Version: 3.11.2-1+b1
Depends: libc6 (>= 2.34), python3-minimal (= 3.11.2-1+b1) | python-tiny

Package: python3-minimal
Status: install ok installed
Provides: python-provided (= 1)
Version: 3.11.2-1+b1

Package: libc6
Status: install ok installed
Essential: yes
Version: 2.36

Package: gone
Status: deinstall ok config-files
Version: 1
"""


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("me", "1000:1001"),
        ("me:team", "1000:1002"),
        ("1000", "1000:1001"),
        ("4242", "4242:4242"),
        ("4242:77", "4242:77"),
    ],
)
def test_users_of_images_become_numbers(named: str, expected: str):
    assert image_user(named, passwd=PASSWD, group=GROUP).name == expected


@pytest.mark.parametrize("named", ["", "root", "0", "evil", "root:team"])
def test_root_is_seen_under_any_name(named: str):
    assert image_user(named, passwd=PASSWD, group=GROUP).is_root


def test_an_unknown_user_fails_the_build():
    with pytest.raises(BuildFailed, match="nobody-here"):
        image_user("nobody-here", passwd=PASSWD, group=GROUP)


def names_in(packed: io.BytesIO) -> list[str]:
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        return sorted(archive.getnames())


def test_a_dockerfile_in_the_context_is_used_where_it_is(tmp_path: Path):
    (tmp_path / ".actor").mkdir()
    (tmp_path / ".actor/Dockerfile").write_text("FROM x\n")
    (tmp_path / ".dockerignore").write_text("secret\n")
    (tmp_path / "secret").touch()
    definition, packed = read_definition(tmp_path), io.BytesIO()
    recipe = read_recipe(definition, lambda _: "")
    assert pack(definition, recipe, packed) == ".actor/Dockerfile"
    assert names_in(packed) == [".actor", ".actor/Dockerfile", ".dockerignore"]


def test_a_dockerfile_that_is_no_file_of_the_context_is_hidden_from_copy(tmp_path: Path):
    (tmp_path / "main.py").touch()
    definition, packed = read_definition(tmp_path), io.BytesIO()
    recipe = read_recipe(definition, lambda _: "FROM y\n")
    name = pack(definition, recipe, packed)
    assert names_in(packed) == sorted([name, ".dockerignore", "main.py"])
    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as archive:
        ignored = archive.extractfile(".dockerignore")
        assert ignored is not None
        assert ignored.read().decode().split() == [name, ".dockerignore"]


def test_projects_without_a_dockerfile_get_one_for_images(tmp_path: Path):
    (tmp_path / "main.py").touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\ndependencies = ["six"]\n')
    text = default_text(tmp_path, say=lambda _: None)
    assert text.startswith("FROM apify/actor-python\n")
    assert "RUN pip install --quiet uv && uv pip install --system" in text


def test_messages_are_printed_by_the_line_and_name_the_step_that_failed():
    said: list[str] = []
    messages = BuildMessages(said.append)
    for message in (
        {"stream": "Step 2/3 : RUN make \n  all"},
        {"stream": "\n"},
        {"stream": "\x1b[91mhal"},
        {"stream": "f a line\x1b[0m\n"},
        {"status": "Downloading", "progress": "[=> ]", "id": "1"},
        {"error": "The command '/bin/sh -c make all' returned a non-zero code: 2"},
    ):
        messages.take(json.dumps(message).encode())
    assert said == ["Step 2/3 : RUN make", "  all", "half a line"]
    assert messages.error == "Step 2/3 failed with exit code 2: RUN make all"


@pytest.mark.parametrize(
    ("language", "version", "tag"),
    [(PYTHON, "3.11.2-1+b1", "3.11"), (NODE, "1:20.19.2~deb", "20")],
)
def test_the_version_of_an_image_is_that_of_its_package(language, version: str, tag: str):
    status = f"Package: other\nVersion: 1\n\nPackage: {language.package}\nVersion: {version}\n"
    assert installed_version(language, status) == tag
    assert installed_version(language, "Package: other\nVersion: 1\n") is None


def test_the_operators_settings_reach_the_image_without_paths_of_this_machine(tmp_path: Path):
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (tmp_path / "ca.pem").write_text(certificate * 2)
    env = {
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "PIP_INDEX_URL": "https://packages.example.org/simple",
        "PIP_FIND_LINKS": "/opt/wheels",
    }
    npmrc = "registry=https://npm.example.org\ncafile=/etc/ca.pem\n"
    context = second_layer(PYTHON, "base", Registries(env, npmrc, ()))
    with tarfile.open(fileobj=io.BytesIO(context)) as archive:
        texts = {
            name: file.read().decode()
            for name in archive.getnames()
            if (file := archive.extractfile(name))
        }
    assert "index-url = https://packages.example.org/simple" in texts["etc/pip.conf"]
    assert "find-links" not in texts["etc/pip.conf"]
    assert texts["etc/npmrc"] == "registry=https://npm.example.org\n"
    assert texts["etc/ssl/certs/callboard-operator.pem"] == certificate
    assert "SSL_CERT_FILE=" in texts["Dockerfile"]


def test_packages_come_with_what_they_need_and_no_more():
    packages = read_packages(STATUS)
    chosen = {package.name for package in with_dependencies(packages, ["python3"])}
    assert chosen == {"python3", "python3-minimal", "libc6"}
    assert packages["python-provided"].name == "python3-minimal"
    with pytest.raises(KeyError):
        with_dependencies(packages, ["gone"])


def test_a_build_whose_image_cannot_be_removed_is_kept_for_another_try(tmp_path: Path):
    folder = tmp_path / "build"
    folder.mkdir()
    DockerBuilder(Place(f"unix://{tmp_path}/no.sock", "net", "abc")).remove(folder)
    assert folder.exists()
