"""What images hold besides interpreters, for Dockerfiles that name it: scripts, and programs that are copied out."""

from pathlib import Path

from callboard.builders.process import tree
from callboard.builders.process.bases import Base

_DISPLAY_SCRIPTS = ("start_xvfb_and_run_cmd.sh", "xvfb-entrypoint.sh")
_DISPLAY_SCRIPT = b"""#!/bin/sh
# A display for browsers that want one, where this machine can offer it; else they run without.
if command -v Xvfb >/dev/null 2>&1; then
    DISPLAY=${DISPLAY:-:99}
    export DISPLAY
    Xvfb "$DISPLAY" -screen 0 1920x1080x24 -nolisten tcp >/dev/null 2>&1 &
fi
[ "$#" -eq 0 ] || exec "$@"
"""
_NODE_PROGRAMS = ("node", "npm", "npx", "corepack")


def provide_scripts(root: Path, base: Base) -> None:
    """Into the work directory of images for Node with a browser."""
    if base.node is None or not base.work_dir.startswith("/home/"):
        return
    folder = tree.make_directory(root, base.work_dir)
    for name in _DISPLAY_SCRIPTS:
        tree.write_file(folder / name, _DISPLAY_SCRIPT, mode=0o755)


def link_interpreter(root: Path, base: Base) -> None:
    """Images have Node below `/usr/local`, from where it is copied; there the host's is linked to."""
    if base.node is None:
        return
    host_bin = base.node.executable.parent
    for name in _NODE_PROGRAMS:
        if (host_bin / name).exists():
            _link(root, f"/usr/local/bin/{name}", str(host_bin / name))
    packages = base.node.prefix / "lib/node_modules"
    for package in sorted(packages.iterdir()) if packages.is_dir() else ():
        _link(root, f"/usr/local/lib/node_modules/{package.name}", str(package))


def _link(root: Path, path: str, target: str) -> None:
    folder = tree.make_directory(root, path.rpartition("/")[0])
    link = folder / path.rpartition("/")[2]
    link.symlink_to(target)
    tree.give(link)
