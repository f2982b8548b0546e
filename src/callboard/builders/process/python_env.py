"""The Python environment of a stage: made before its first step, judged and compiled when all steps are done."""

from pathlib import Path

from callboard.builders.process import tree
from callboard.builders.process.interpreters import Interpreter
from callboard.builders.process.toolbox import UV

_STUB_MARK = "callboard: pip by way of uv"
_STUB_MAIN = f"""# {_STUB_MARK}
import os
import sys

script = os.path.join(os.environ["CALLBOARD_TOOLS"], "pip_by_uv.py")
os.execv(sys.executable, [sys.executable, "-I", "-S", script, *sys.argv[1:]])
"""
_OF_ENVIRONMENT = frozenset(
    {"bin", "include", "lib", "lib64", "share", "pyvenv.cfg", ".gitignore", "CACHEDIR.TAG", ".lock"}
)
_OF_SITE_PACKAGES = frozenset({"pip", "_virtualenv.py", "_virtualenv.pth", "__pycache__"})


def creation_command(python: Interpreter, environment_dir: str) -> tuple[str, ...]:
    """How the environment is made, with the sandbox's paths."""
    options = ("--quiet", "--no-config", "--no-project", "--allow-existing")
    return (UV, "venv", *options, "--python", str(python.executable), environment_dir)


def exists(root: Path, environment_dir: str) -> bool:
    return tree.resolve(root, f"{environment_dir}/pyvenv.cfg").is_file()


def lacks_environment(root: Path, python: Interpreter, environment_dir: str) -> bool:
    """Whether packages were copied to where the environment would look for them, but none was ever made."""
    packages = tree.names(root, _site_packages(python, environment_dir))
    return bool(packages) and not exists(root, environment_dir)


def add_pip(root: Path, python: Interpreter, environment_dir: str) -> None:
    """`python -m pip` works as `pip` does; packages that want the real pip install it over this."""
    folder = f"{_site_packages(python, environment_dir)}/pip"
    tree.make_directory(root, folder)
    for name, text in (("__init__.py", f"# {_STUB_MARK}\n"), ("__main__.py", _STUB_MAIN)):
        tree.write_file(tree.resolve(root, f"{folder}/{name}", follow_last=False), text.encode())


def remove_pip(root: Path, python: Interpreter, environment_dir: str) -> None:
    """Take the stand-in away again, unless the real pip has replaced it."""
    folder = tree.resolve(root, f"{_site_packages(python, environment_dir)}/pip", follow_last=False)
    try:
        ours = _STUB_MARK in (folder / "__init__.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if ours and not folder.is_symlink():
        tree.remove(folder)


def in_use(root: Path, python: Interpreter, environment_dir: str) -> bool:
    """Whether anything was put into the environment's folders since it was made."""
    folders = (
        (environment_dir, _OF_ENVIRONMENT),
        (f"{environment_dir}/lib", frozenset({f"python{python.shown}"})),
        (_site_packages(python, environment_dir), _OF_SITE_PACKAGES),
    )
    if any(tree.names(root, folder) - expected for folder, expected in folders):
        return True
    programs = tree.names(root, f"{environment_dir}/bin")
    return any(
        not name.startswith(("python", "activate", "deactivate", "pydoc")) for name in programs
    )


def _site_packages(python: Interpreter, environment_dir: str) -> str:
    return f"{environment_dir}/lib/python{python.shown}/site-packages"
