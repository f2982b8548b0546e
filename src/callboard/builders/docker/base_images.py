"""Base images made of Debian's packages, for machines that reach no image registry.

They stand in for the images that Actors name in their Dockerfiles: the interpreter, the work directory, the user, and
how the operator has package registries reached. What an operator's settings hold, credentials included, is in them.
"""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from callboard.builders.process.registries import Registries
from callboard.executors.docker.archives import packed

WORK_DIR = "/usr/src/app"
CERTIFICATES = "/etc/ssl/certs/callboard-operator.pem"
_CERTIFICATE_SETTINGS = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
_PIP_PATHS = frozenset({"PIP_CERT", "PIP_CLIENT_CERT", "PIP_LOG", "PIP_SRC"})
_NPM_PATHS = ("cafile", "nodedir", "prefix", "cache")


@dataclass(frozen=True)
class Language:
    """What a base image is for. `package` is the Debian package whose version names the image."""

    name: str
    repository: str
    package: str
    packages: tuple[str, ...]
    version: re.Pattern[str]
    steps: str
    """Of the Dockerfile of the second layer, after the operator's settings are in place, as root."""
    sdk: str = ""
    """The steps after them that need a package registry."""


_USER = """\
RUN mkdir -p /usr/local/bin /usr/local/lib \\
    && useradd --uid 1000 --user-group --create-home --shell /bin/bash myuser"""
_PYTHON_STEPS = f"""\
{_USER}
RUN set -e; \\
    rm -f /usr/lib/python3*/EXTERNALLY-MANAGED; \\
    ln -s /usr/bin/python3 /usr/local/bin/python; \\
    pip=$(ls /usr/share/python-wheels/pip-*.whl); \\
    PYTHONPATH=$pip python3 -m pip install --quiet --root-user-action ignore --no-index --no-cache-dir \\
        --find-links /usr/share/python-wheels pip setuptools; \\
    cd /usr/local/lib/python3*; test -e site-packages || ln -s dist-packages site-packages; \\
    mkdir -p {WORK_DIR}; chown -R myuser:myuser /usr/local {WORK_DIR}
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
"""
_NODE_STEPS = f"""\
{_USER}
RUN mkdir -p {WORK_DIR} && chown -R myuser:myuser /usr/local {WORK_DIR}
USER myuser
WORKDIR {WORK_DIR}
RUN echo '{{"name": "actor", "private": true}}' > package.json
ENV NODE_ENV=production APIFY_DISABLE_OUTDATED_WARNING=1
"""
_NODE_SDK = """\
RUN npm install --quiet --no-audit --no-fund apify crawlee && rm -rf ~/.npm && mkdir ~/.npm
"""
PYTHON = Language(
    "python",
    "apify/actor-python",
    "python3",
    ("ca-certificates", "python3-minimal", "python3-venv"),
    re.compile(r"\d+\.\d+"),
    _PYTHON_STEPS,
)
NODE = Language(
    "node",
    "apify/actor-node",
    "nodejs",
    ("ca-certificates", "nodejs", "npm"),
    re.compile(r"\d+"),
    _NODE_STEPS,
    _NODE_SDK,
)
LANGUAGES = {language.name: language for language in (PYTHON, NODE)}


def installed_version(language: Language, dpkg_status: str) -> str | None:
    """The version as an image tag has it, from the system's list of installed packages."""
    for paragraph in dpkg_status.split("\n\n"):
        lines = paragraph.splitlines()
        if f"Package: {language.package}" in lines:
            versions = [line for line in lines if line.startswith("Version: ")]
            match = language.version.search(versions[0].rpartition(":")[2]) if versions else None
            return match[0] if match else None
    return None


def second_layer(
    language: Language, base: str, registries: Registries, *, sdk: bool = True
) -> bytes:
    """The build context, as a tar archive, that makes `base` an image for Actors."""
    certificates = _certificates(registries.env)
    files = {"etc/pip.conf": _pip_conf(registries.env), "etc/npmrc": _npmrc(registries.npmrc)}
    lines = [f"FROM {base}", "COPY etc /etc", "COPY etc/npmrc /usr/etc/npmrc"]
    if certificates:
        files[CERTIFICATES.lstrip("/")] = certificates
        names = (*_CERTIFICATE_SETTINGS, "GIT_SSL_CAINFO")
        lines.append("ENV " + " ".join(f"{name}={CERTIFICATES}" for name in names))
    steps = language.steps + (language.sdk if sdk else "")
    lines += [steps, "USER myuser", f"WORKDIR {WORK_DIR}", 'CMD ["sh"]', ""]
    files["Dockerfile"] = "\n".join(lines).encode()

    def fill(archive: tarfile.TarFile) -> None:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))

    return packed(fill)


def _pip_conf(env: Mapping[str, str]) -> bytes:
    """The operator's settings, but for those that name files of this machine."""
    lines = ["[global]", "break-system-packages = true"]
    for name, value in sorted(env.items()):
        words = [word for word in value.split() if not word.startswith(("/", "file:"))]
        if name.startswith("PIP_") and name not in _PIP_PATHS and words:
            lines.append(f"{name[4:].lower().replace('_', '-')} = {' '.join(words)}")
    return "\n".join([*lines, ""]).encode()


def _npmrc(text: str) -> bytes:
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in _NPM_PATHS]
    return "".join(f"{line}\n" for line in kept).encode()


def _certificates(env: Mapping[str, str]) -> bytes:
    """All that the operator's settings trust, each certificate once."""
    found: dict[bytes, None] = {}
    for name in _CERTIFICATE_SETTINGS:
        path = Path(env.get(name, ""))
        if env.get(name) and path.is_file():
            pattern = rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----"
            found |= dict.fromkeys(re.findall(pattern, path.read_bytes(), re.DOTALL))
    return b"".join(certificate + b"\n" for certificate in found)


def bootstrap_command(
    language: Language, *, suite: str, mirrors: Sequence[str], packages: Sequence[str]
) -> list[str]:
    """What writes the file system of the first layer to standard output as a tar archive."""
    include = ",".join((*language.packages, *packages))
    return [
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}"),
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        *(suite, "-", *mirrors),
    ]
