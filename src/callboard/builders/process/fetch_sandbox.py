"""Fetching as steps of the process builder: behind the same sandbox as what the Actor brings."""

from dataclasses import dataclass
from pathlib import Path

from callboard.builders.fetching.sandbox import Python, Sandbox, Step
from callboard.builders.process import tree
from callboard.builders.process.interpreters import own_python
from callboard.builders.process.registries import Registries
from callboard.builders.process.steps import StepCommand, StepRunner, private_folder
from callboard.builders.process.toolbox import interpreter_mounts


@dataclass(frozen=True)
class ProcessSandbox(Sandbox):
    """`registries` names the certificates that the operator's own hosts are trusted by."""

    runner: StepRunner
    registries: Registries

    def folder(self, path: Path) -> Path:
        return private_folder(path)

    def give(self, path: Path) -> None:
        tree.give(path)

    def python(self) -> Python:
        interpreter = own_python()
        mounts = interpreter_mounts((interpreter,)).values()
        return Python(str(interpreter.executable), tuple(mounts))

    def run(self, step: Step) -> int:
        mounts = (*step.mounts, *self.registries.mounts())
        command = StepCommand(
            step.argv, step.env, step.cwd, home=step.home, tmp=step.tmp, mounts=mounts
        )
        return self.runner.run(command)
