"""Dockerfiles as data: instructions, stages, forms, variables, and what is refused."""

import pytest

from callboard.builders.process.actions import (
    AddUrl,
    CopyFiles,
    CopyTexts,
    Lent,
    MakeFolder,
    Plan,
    RunCommand,
)
from callboard.builders.process.dockerfile import parse
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.expansion import expand, expand_words, key_values
from callboard.builders.process.plan import make_plan, start_command

VARIABLES = {"A": "1", "B": "x y", "EMPTY": ""}


def plan(text: str, **arguments: str) -> Plan:
    return make_plan(parse(text), arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("$NOPE.", "."),
        ("${NOPE:-d}", "d"),
        ("${EMPTY:-d}${EMPTY-e}", "d"),
        ("${A:+set}${NOPE:+set}", "set"),
        ("${NOPE:-${A}b}", "1b"),
        (r"\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A b"', "1 b"),
        ("a$", "a$"),
        (r"C:\dir", "C:dir"),
    ],
)
def test_variables_are_put_in_as_a_shell_would(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


def test_words_are_split_before_variables_are_put_in() -> None:
    assert expand_words("$B 'c d'  e\\ f \"\"", VARIABLES) == ["x y", "c d", "e f", ""]


def test_pairs_have_a_modern_and_an_old_form() -> None:
    assert key_values('X=1 Y="a b" Z=$A', VARIABLES) == {"X": "1", "Y": "a b", "Z": "1"}
    assert key_values("X the rest  of it", VARIABLES) == {"X": "the rest  of it"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${F#*/}", "b/c.tar.gz"),
        ("${F##*/}", "c.tar.gz"),
        ("${F%.*}", "a/b/c.tar"),
        ("${F%%.*}", "a/b/c"),
        ("${F#x}", "a/b/c.tar.gz"),
    ],
)
def test_starts_and_ends_are_trimmed(text: str, expected: str) -> None:
    assert expand(text, {"F": "a/b/c.tar.gz"}) == expected


@pytest.mark.parametrize("text", ["${A", "${A/x/y}", "${NOPE:?gone}"])
def test_what_cannot_be_expanded_is_refused(text: str) -> None:
    with pytest.raises(BuildFailed):
        expand(text, VARIABLES)


def test_variables_that_double_each_other_do_not_fill_the_memory() -> None:
    text = "FROM x\n" + "ENV A=aaaaaaaaaa\n" + "ENV A=$A$A$A$A$A$A$A$A$A$A\n" * 12
    with pytest.raises(BuildFailed, match="too long"):
        plan(text)


def test_continued_lines_comments_and_blank_lines_are_one_instruction() -> None:
    stage = parse("# c\nFROM x\n\nRUN a \\\n  # why\n\n  && b\nCMD c\n").stages[0]
    assert [item.name for item in stage.instructions] == ["RUN", "CMD"]
    assert stage.instructions[0].value.split() == ["a", "&&", "b"]
    assert stage.instructions[1].line == 8


def test_stages_may_be_named_and_built_on() -> None:
    made = plan("FROM node AS One\nENV A=1\nFROM one\nRUN true")
    assert made.stages[1].parent is made.stages[0]
    assert made.stages[1].state.env["A"] == "1"
    assert made.step_count == 4


def test_copy_names_its_stage_by_name_or_number() -> None:
    made = plan("FROM x AS a\nFROM y\nCOPY --from=a /p /q\nCOPY --from=0 --chmod=755 p q/")
    first, second = (step.action for step in made.stages[1].steps)
    assert isinstance(first, CopyFiles)
    assert isinstance(second, CopyFiles)
    assert first.source is second.source is made.stages[0]
    assert (second.target, second.mode) == ("/usr/src/app/q/", 0o755)


def test_relative_paths_follow_the_work_directory() -> None:
    made = plan("FROM x\nWORKDIR /a\nWORKDIR b/../c\nCOPY f ./\nRUN pwd")
    actions = [step.action for step in made.stages[0].steps]
    assert actions[1] == MakeFolder("/a/c")
    assert isinstance(actions[2], CopyFiles)
    assert actions[2].target == "/a/c/"
    assert isinstance(actions[3], RunCommand)
    assert actions[3].cwd == "/a/c"


def test_arguments_before_from_need_declaring_inside() -> None:
    made = plan("ARG V=1\nARG W\nFROM x:$V\nRUN a\nARG V\nARG W=2\nRUN b", V="9")
    before, after = (
        step.action for step in made.stages[0].steps if isinstance(step.action, RunCommand)
    )
    assert isinstance(before, RunCommand)
    assert isinstance(after, RunCommand)
    assert made.stages[0].text == "FROM x:9"
    assert "V" not in before.env
    assert (after.env["V"], after.env["W"]) == ("9", "2")


def test_environment_wins_over_arguments() -> None:
    made = plan("FROM x\nARG A=1\nENV A=2\nRUN a", A="3")
    action = made.stages[0].steps[-1].action
    assert isinstance(action, RunCommand)
    assert action.env["A"] == "2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('CMD ["a", "b"]', ("a", "b")),
        ("CMD a b", ("/bin/sh", "-c", "a b")),
        ('SHELL ["bash", "-lc"]\nCMD a', ("bash", "-lc", "a")),
        ('ENTRYPOINT ["a"]\nCMD ["b"]', ("a", "b")),
        ('CMD ["b"]\nENTRYPOINT ["a"]', ("a",)),
        ('ENTRYPOINT a\nCMD ["b"]', ("/bin/sh", "-c", "a")),
        ("CMD [not json", ("/bin/sh", "-c", "[not json")),
        ("RUN x", ()),
    ],
)
def test_the_start_command_is_put_together(text: str, expected: tuple[str, ...]) -> None:
    assert tuple(start_command(plan("FROM x\n" + text).stages[0].state)) == expected


def runs(text: str) -> list[RunCommand]:
    stages = plan(text).stages
    return [step.action for step in stages[-1].steps if isinstance(step.action, RunCommand)]


def test_the_escape_character_may_be_another() -> None:
    made = plan("# escape=`\nFROM x\nENV A=C:\\dir B=`$A\nRUN a `\n  b")
    assert made.stages[0].state.env["A"] == "C:\\dir"
    assert made.stages[0].state.env["B"] == "$A"
    action = made.stages[0].steps[-1].action
    assert isinstance(action, RunCommand)
    assert action.argv[-1].split() == ["a", "b"]


def test_a_lone_document_is_the_script() -> None:
    (run,) = runs("FROM x\nRUN <<EOF\n\nset -e\n# kept\necho $A\nEOF\n")
    assert run.argv == ("/bin/sh", "-c", "\nset -e\n# kept\necho $A\n")


def test_the_shell_reads_the_documents_of_its_command_line() -> None:
    first, second = runs("FROM x\nRUN cat <<A <<-'B' \\\n  && true\none\nA\n\ttwo\n\tB\nRUN true\n")
    assert first.argv[-1].split("\n")[1:] == ["one", "A", "two", "B", ""]
    assert second.argv[-1] == "true"


def test_documents_are_files_to_copy() -> None:
    step = plan("FROM x\nARG V=1\nCOPY <<A <<'B' /d/\na $V\nA\nb $V\nB\n").stages[0].steps[-1]
    assert step.action == CopyTexts((("A", "a 1\n"), ("B", "b $V\n")), "/d/", None)


def test_what_onbuild_puts_off_is_done_in_stages_that_follow() -> None:
    made = plan("FROM x AS a\nONBUILD RUN later\nRUN now\nFROM a\nRUN last\nFROM a AS b\nFROM b")
    texts = [[step.text for step in stage.steps] for stage in made.stages]
    assert texts == [["ONBUILD RUN later", "RUN now"], ["RUN later", "RUN last"], ["RUN later"], []]


def test_only_root_may_change_the_system() -> None:
    found = runs("FROM x\nRUN a\nUSER ${U:-me}:group\nRUN b\nUSER 0\nRUN c")
    assert [run.as_root for run in found] == [True, False, True]


def test_mounts_of_a_step_are_lent_to_it() -> None:
    mounts = (
        "--mount=type=bind,source=r.txt,target=r.txt --mount=type=cache,target=/c,sharing=locked"
    )
    (run,) = runs(f"FROM x\nWORKDIR /w\nRUN {mounts} --mount=type=secret,id=t --network=none a b")
    assert run.lent == (Lent("/w/r.txt", "r.txt"), Lent("/c"))
    assert run.argv[-1] == "a b"


def test_the_platform_can_be_asked_for() -> None:
    (run,) = runs("FROM --platform=$BUILDPLATFORM x\nARG TARGETOS\nARG TARGETARCH\nRUN a")
    assert run.env["TARGETOS"] == "linux"
    assert run.env["TARGETARCH"]


def test_an_image_can_be_copied_from() -> None:
    made = plan("FROM python:3.11\nCOPY --from=node:20 /usr/local/bin/node /usr/local/bin/")
    copy = made.stages[0].steps[0].action
    assert isinstance(copy, CopyFiles)
    assert copy.source is not None
    assert copy.source.base.node is not None
    assert made.stages[0].base.node == copy.source.base.node


def test_add_downloads_and_unpacks() -> None:
    first, second = (
        step.action
        for step in plan("FROM x\nADD https://e.example/f.txt?x=1 d/\nADD a.tar.gz .")
        .stages[0]
        .steps
    )
    assert first == AddUrl("https://e.example/f.txt?x=1", "/usr/src/app/d/", None, "")
    assert isinstance(second, CopyFiles)
    assert second.unpack


@pytest.mark.parametrize(
    ("text", "mode"), [("755", 0o755), ("+x", 0o755), ("u+x,go=", 0o700), ("a=rX", 0o555)]
)
def test_rights_are_octal_or_symbolic(text: str, mode: int) -> None:
    copy = plan(f"FROM x\nCOPY --chmod={text} a b").stages[0].steps[0].action
    assert isinstance(copy, CopyFiles)
    assert copy.mode == mode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no FROM"),
        ("RUN a\nFROM x", "line 1: only ARG may come before FROM"),
        ("FROM x y", "line 1: FROM takes"),
        ("FROM x\n\nBUILD y", "line 3: unknown instruction 'BUILD'"),
        ("FROM x\nRUN cat <<EOF\nhi", "line 2: the here-document EOF has no end"),
        ("FROM x\nONBUILD FROM y", "line 2: ONBUILD FROM is not possible"),
        ("FROM $NOPE", "names no image"),
        ("FROM x\nCOPY a", "at least one source and a target"),
        ("FROM x\nCOPY https://example.com/a b", "COPY takes no URL"),
        ("FROM x\nADD https://example.com/a.git b", "from Git is not supported"),
        ("FROM x\nADD --checksum=md5:1 https://example.com/a b", "--checksum must be sha256"),
        ("FROM x\nCOPY --from=3 /a /b", "no such earlier stage"),
        ("FROM x\nCOPY --chmod=rw a b", "octal"),
        ("FROM x\nCOPY a <<E b/\nE", "not both"),
        ("FROM x\nRUN --mount=type=secret,id=a,required=true b", "builds have no secrets"),
        ("FROM x\nENV a=1 b", "NAME=VALUE"),
        ("FROM x\nSHELL bash", "SHELL needs"),
        ("FROM x\n" + "RUN a\n" * 1000, "more than 1000"),
    ],
)
def test_a_dockerfile_that_makes_no_sense_names_the_line(text: str, message: str) -> None:
    with pytest.raises(BuildFailed, match=message):
        plan(text)
