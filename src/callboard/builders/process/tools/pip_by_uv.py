"""`pip` for build steps, done by uv, which is many times faster. Options that mean nothing to uv are dropped."""

from __future__ import annotations

import os
import sys

UV = os.environ["CALLBOARD_UV"]
DROPPED = {
    "--break-system-packages",
    "--disable-pip-version-check",
    "--isolated",
    "--no-cache-dir",
    "--no-compile",
    "--no-input",
    "--no-python-version-warning",
    "--no-warn-conflicts",
    "--no-warn-script-location",
    "--prefer-binary",
    "--use-pep517",
    "--user",
    "--verbose",
    "-v",
    "-vv",
}
DROPPED_WITH_VALUE = {
    "--cache-dir",
    "--default-timeout",
    "--progress-bar",
    "--retries",
    "--root-user-action",
    "--timeout",
    "--use-feature",
}
RENAMED = {
    "--force-reinstall": "--reinstall",
    "--ignore-installed": "--reinstall",
    "-I": "--reinstall",
}


def translated(words: list[str]) -> list[str]:
    """The arguments as `uv pip` takes them."""
    out: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.partition("=")[0]
        if name in DROPPED_WITH_VALUE:
            if "=" not in word:
                next(rest, None)
        elif name == "--trusted-host":
            out += ["--allow-insecure-host", word.partition("=")[2] or next(rest, "")]
        elif word not in DROPPED:
            out.append(RENAMED.get(word, word))
    return out


def main() -> None:
    words = sys.argv[1:]
    if not words or words[0] in ("--version", "-V"):
        print(f"pip by way of uv (python {sys.version_info[0]}.{sys.version_info[1]})")
        return
    command, rest = words[0], words[1:]
    if command == "uninstall":
        rest = [word for word in rest if word not in ("-y", "--yes")]
    if command in ("cache", "config", "debug", "completion"):
        return
    os.execv(UV, [UV, "pip", command, *translated(rest)])


main()
