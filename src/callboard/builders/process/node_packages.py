"""The packages that the images for Node Actors have in their work directory, and Dockerfiles rely on finding there.

Installed once for all builds. They are the bulk of a stage, so a stage shares their files instead of copying them:
where the server is root they belong to root, as an image's own files do, and no step can write into them.
"""

import os
import time
from pathlib import Path

from callboard.builders.process import tree
from callboard.builders.process.bases import APIFY_NODE_PACKAGES, Base
from callboard.builders.process.layers import Layers, identity
from callboard.builders.process.workbench import StageTree, Workbench

_WRITTEN_IN_PLACE = ("package.json", "package-lock.json", "node_modules/.package-lock.json")
"""By npm, so a stage has its own."""


def provide(base: Base, made: StageTree, *, layers: Layers, workbench: Workbench) -> None:
    """Put the packages into the work directory of a fresh stage. Where that fails, the log says so.

    What images with a browser have besides is installed over what all images have.
    """
    whole, common = base.node_packages, base.node_packages[: len(APIFY_NODE_PACKAGES)]
    if _restored(base, made, whole, layers):
        return
    done: tuple[str, ...] = ()
    for packages in dict.fromkeys((common, whole)):
        if done or not _restored(base, made, packages, layers):
            missing = packages[len(done) :]
            print(f"Installing {', '.join(missing)}, which the image brings along.", flush=True)
            if not workbench.install_node_packages(base, made, missing):
                print("Warning: they could not be installed; going on without them.", flush=True)
                return
            _keep(base, made, packages, layers)
        done = packages


def _restored(base: Base, made: StageTree, packages: tuple[str, ...], layers: Layers) -> bool:
    key = _key(base, packages)
    place = tree.resolve(made.root, base.work_dir)
    if not layers.has(key):
        return False
    started = time.monotonic()
    place.rmdir()
    if not layers.restore(key, place):
        tree.make_directory(made.root, base.work_dir)
        return False
    made.clone_secs = time.monotonic() - started
    _share(place, made)
    return True


def _keep(base: Base, made: StageTree, packages: tuple[str, ...], layers: Layers) -> None:
    place = tree.resolve(made.root, base.work_dir)
    _seal(place)
    started = time.monotonic()
    try:
        layers.save(_key(base, packages), place)
    except OSError as error:
        print(f"Warning: they are not kept for later builds: {error}", flush=True)
    made.clone_secs = time.monotonic() - started
    _share(place, made)


def _key(base: Base, packages: tuple[str, ...]) -> str:
    node = base.node
    return identity("node packages", f"{node.executable} {node.shown}" if node else "", *packages)


def _share(place: Path, made: StageTree) -> None:
    """After this, nothing shared is left that a step could write into, or the tree is marked as shared."""
    for name in _WRITTEN_IN_PLACE:
        path = place / name
        if path.is_file():
            tree.write_file(path, path.read_bytes())
    made.shared = os.geteuid() != 0


def _seal(place: Path) -> None:
    if os.geteuid() != 0:
        return
    for folder, _, names in os.walk(place / "node_modules"):
        for name in names:
            os.chown(os.path.join(folder, name), 0, 0, follow_symlinks=False)
