"""Planning COPY, ADD and the mounts of RUN: from where, what, to where, with which rights."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from callboard.builders.process.actions import (
    Action,
    AddUrl,
    CopyFiles,
    CopyTexts,
    Lent,
    ProvideUv,
    StagePlan,
    StageState,
)
from callboard.builders.process.bases import base_for
from callboard.builders.process.dockerfile import Instruction
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.expansion import expand, expand_document, expand_words
from callboard.builders.process.permissions import mode_of

_GIT = re.compile(r"git@|(?:https?|ssh|git)://[^#]+\.git(?:#|$)")
_CHECKSUM = re.compile(r"sha256:([0-9a-f]{64})")


class CopyPlanner:
    """`stages` are those planned so far; whoever plans adds to the list."""

    def __init__(self, stages: Sequence[StagePlan]) -> None:
        self._stages = stages
        self._images: dict[str, StagePlan] = {}

    def earlier(self, name: str) -> StagePlan | None:
        """The latest stage of that name."""
        for plan in reversed(self._stages):
            if plan.name is not None and plan.name == name.lower():
                return plan
        return None

    def action(self, plan: StagePlan, item: Instruction) -> Action:
        """Of one COPY or ADD. Raises `BuildFailed`."""
        state = plan.state
        source_name = item.flag("from")
        if source_name is not None and "astral-sh/uv" in source_name:
            return ProvideUv()
        paths = _paths(state, item)
        target = _target(state, paths[-1])
        mode = mode_of(item.flag("chmod"))
        if item.heredocs:
            return _texts(state, item, paths, target, mode)
        remote = [path for path in paths[:-1] if "://" in path or path.startswith("git@")]
        if remote:
            return _remote(item, paths, remote[0], target, mode)
        source = None if source_name is None else self._source(state, source_name)
        if source is not None:
            _adopt_interpreter(plan, source)
        unpack = item.name == "ADD" and source is None
        excluded = tuple(expand(one, state.variables) for one in item.flags.get("exclude", ()))
        return CopyFiles(tuple(paths[:-1]), target, source, mode, unpack, excluded)

    def lent(self, state: StageState, item: Instruction) -> Iterator[Lent]:
        """What the mounts of a RUN show. Caches are empty folders: downloads are kept without them."""
        for text in item.flags.get("mount", ()):
            words = (word.partition("=") for word in text.split(","))
            options = {name: expand(value, state.variables) for name, _, value in words}
            target = next(
                (options[n] for n in ("target", "dst", "destination") if n in options), ""
            )
            match options.get("type", "bind"):
                case "bind":
                    pattern = next((options[n] for n in ("source", "src") if n in options), ".")
                    source = self._source(state, options["from"]) if "from" in options else None
                    yield Lent(state.absolute(target), pattern, source)
                case "cache" | "tmpfs" if target:
                    yield Lent(state.absolute(target))
                case "secret" if options.get("required", "false") not in {"false", "0"}:
                    raise BuildFailed("RUN --mount=type=secret: builds have no secrets.")
                case _:
                    pass

    def _source(self, state: StageState, name: str) -> StagePlan:
        """A stage by name or number, else an image."""
        name = expand(name, state.variables)
        if name.isdecimal() and int(name) < len(self._stages):
            return self._stages[int(name)]
        return self.earlier(name) or self._image(name)

    def _image(self, image: str) -> StagePlan:
        if not image or image.isdecimal():
            raise BuildFailed(f"COPY --from={image}: there is no such earlier stage.")
        if image not in self._images:
            base = base_for(image)
            state = StageState({**base.env}, {}, "/")
            number = -len(self._images) - 1
            self._images[image] = StagePlan(number, f"Image {image}", base, None, state)
        return self._images[image]


def _adopt_interpreter(plan: StagePlan, source: StagePlan) -> None:
    """Who copies from an image of Node copies Node, which then is the machine's here as well."""
    if source.number < 0 and plan.base.node is None and source.base.node is not None:
        plan.base = replace(plan.base, node=source.base.node)


def _paths(state: StageState, item: Instruction) -> list[str]:
    words = item.exec_form()
    paths = (
        [expand(word, state.variables, escape=item.escape) for word in words]
        if words
        else expand_words(item.value, state.variables, escape=item.escape)
    )
    if len(paths) < 2:
        raise BuildFailed(f"{item.name} needs at least one source and a target.")
    return paths


def _target(state: StageState, path: str) -> str:
    is_folder = path.endswith(("/", "/.")) or path == "."
    return state.absolute(path) + ("/" if is_folder and state.absolute(path) != "/" else "")


def _texts(
    state: StageState, item: Instruction, paths: Sequence[str], target: str, mode: int | None
) -> CopyTexts:
    if len(paths) - 1 != len(item.heredocs):
        raise BuildFailed(f"{item.name} takes files or here-documents, not both.")
    variables = state.variables
    return CopyTexts(
        tuple(
            (one.name, expand_document(one.content, variables) if one.expands else one.content)
            for one in item.heredocs
        ),
        target,
        mode,
    )


def _remote(
    item: Instruction, paths: Sequence[str], url: str, target: str, mode: int | None
) -> AddUrl:
    if item.name == "COPY":
        raise BuildFailed(f"COPY takes no URL; ADD downloads {url}.")
    if _GIT.match(url):
        raise BuildFailed(f"ADD from Git is not supported; clone {url} in a RUN step.")
    if len(paths) > 2:
        raise BuildFailed("ADD takes one URL at a time here.")
    checksum = item.flag("checksum")
    match = _CHECKSUM.fullmatch(checksum or "")
    if checksum is not None and match is None:
        raise BuildFailed("--checksum must be sha256: and 64 hexadecimal digits.")
    return AddUrl(url, target, mode, match[1] if match else "")
