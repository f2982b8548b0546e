"""What is read from a source tree, and that nothing outside it ever is."""

import json
from pathlib import Path

import pytest

from callboard.builders.definition import InvalidDefinition, read_definition

ACTOR = {"actorSpecification": 1, "name": "a", "version": "0.0"}
SCHEMA = '{"title": "t", "type": "object",  "schemaVersion": 1, "properties": {}}'


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
        )
    return root


def test_sources_without_a_definition_are_fine(tmp_path: Path) -> None:
    found = read_definition(write(tmp_path, {"main.py": ""}))
    assert found.content is None
    assert (found.input_schema, found.readme, found.changelog, found.dockerfile) == (
        None,
        None,
        None,
        None,
    )
    assert found.context == tmp_path.resolve()


def test_files_are_found_in_their_usual_places(tmp_path: Path) -> None:
    files = {
        ".actor/actor.json": ACTOR,
        ".actor/INPUT_SCHEMA.json": SCHEMA,
        "INPUT_SCHEMA.json": "{}",
        "README.md": "# Hi",
        ".actor/CHANGELOG.md": "1.0",
        ".actor/Dockerfile": "FROM x",
        "Dockerfile": "FROM y",
    }
    found = read_definition(write(tmp_path, files))
    assert found.input_schema == SCHEMA
    assert (found.readme, found.changelog) == ("# Hi", "1.0")
    assert found.dockerfile == tmp_path.resolve() / ".actor/Dockerfile"


def test_paths_in_the_definition_are_relative_to_its_folder(tmp_path: Path) -> None:
    definition = {
        **ACTOR,
        "input": "./in.json",
        "readme": "../docs/R.md",
        "dockerfile": "../D",
        "dockerContextDir": "../ctx",
    }
    files = {
        ".actor/actor.json": definition,
        ".actor/in.json": SCHEMA,
        "docs/R.md": "r",
        "D": "FROM x",
        "ctx/f": "",
    }
    found = read_definition(write(tmp_path, files))
    assert found.input_schema == SCHEMA
    assert found.readme == "r"
    assert found.dockerfile == tmp_path.resolve() / "D"
    assert found.context == tmp_path.resolve() / "ctx"


def test_schemas_named_by_path_are_put_in_place(tmp_path: Path) -> None:
    storages = {"dataset": "./dataset.json", "keyValueStore": {"title": "inline"}}
    definition = {**ACTOR, "input": "in.json", "output": "out.json", "storages": storages}
    files = {
        ".actor/actor.json": definition,
        ".actor/in.json": SCHEMA,
        ".actor/out.json": '{"o": 1}',
        ".actor/dataset.json": '{"d": 1}',
    }
    content = read_definition(write(tmp_path, files)).content
    assert content is not None
    assert content["input"] == json.loads(SCHEMA)
    assert content["output"] == {"o": 1}
    assert content["storages"] == {"dataset": {"d": 1}, "keyValueStore": {"title": "inline"}}


def test_several_datasets_are_put_in_place_by_name(tmp_path: Path) -> None:
    definition = {**ACTOR, "storages": {"datasets": {"default": "d.json", "other": {"x": 1}}}}
    found = read_definition(
        write(tmp_path, {".actor/actor.json": definition, ".actor/d.json": '{"d": 1}'})
    )
    assert found.content is not None
    assert found.content["storages"] == {"datasets": {"default": {"d": 1}, "other": {"x": 1}}}


def test_an_input_schema_inside_the_definition_is_its_text(tmp_path: Path) -> None:
    found = read_definition(
        write(tmp_path, {".actor/actor.json": {**ACTOR, "input": json.loads(SCHEMA)}})
    )
    assert found.input_schema is not None
    assert json.loads(found.input_schema) == json.loads(SCHEMA)


@pytest.mark.parametrize("field", ["input", "output", "readme", "dockerfile", "dockerContextDir"])
def test_a_path_out_of_the_sources_is_refused(tmp_path: Path, field: str) -> None:
    write(
        tmp_path,
        {"secret.json": "{}", "source/.actor/actor.json": {**ACTOR, field: "../../secret.json"}},
    )
    with pytest.raises(InvalidDefinition, match=f"The path in {field} leads out of the sources"):
        read_definition(tmp_path / "source")


def test_an_actor_in_a_repository_may_name_files_beside_it(tmp_path: Path) -> None:
    definition = {**ACTOR, "readme": "../../outside.md", "dockerContextDir": "../.."}
    write(tmp_path, {"repo/one/.actor/actor.json": definition, "repo/outside.md": "outside"})
    found = read_definition(tmp_path / "repo/one", bounds=tmp_path / "repo")
    assert found.readme == "outside"
    assert found.context == tmp_path / "repo"
    with pytest.raises(InvalidDefinition, match="leads out of the sources"):
        read_definition(tmp_path / "repo/one")


def test_a_link_out_of_the_sources_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"secret": "s", "source/main.py": ""})
    (tmp_path / "source/README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidDefinition, match="leads out"):
        read_definition(tmp_path / "source")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({".actor/actor.json": "{"}, r"\.actor/actor\.json is not valid JSON"),
        ({".actor/actor.json": "[]"}, "must hold a JSON object"),
        ({".actor/actor.json": {"input": "no.json"}}, r"\.actor/no\.json is not in the sources"),
        ({".actor/actor.json": {"input": 5}}, "input must be a path or an object"),
        ({".actor/actor.json": {"storages": []}}, "storages must be an object"),
        (
            {".actor/actor.json": {"dockerfile": "nope"}},
            "Dockerfile 'nope' named in dockerfile is not",
        ),
        ({".actor/INPUT_SCHEMA.json": " " * 512_001}, "larger than 512000 bytes"),
    ],
)
def test_a_broken_definition_is_named_in_plain_words(
    tmp_path: Path, files: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        read_definition(write(tmp_path, files))


@pytest.mark.parametrize(
    "schema",
    [
        {"openapi": "2.0", "info": {}, "paths": {}},
        {"info": {}, "paths": {}},
        {"openapi": "3.1.0", "paths": {}},
        {"openapi": "3.1.0", "info": {}},
        "missing.json",
    ],
    ids=["old", "without version", "without info", "without paths", "missing"],
)
def test_a_web_server_schema_is_an_openapi_document(tmp_path: Path, schema: object) -> None:
    files = {".actor/actor.json": {**ACTOR, "webServerSchema": schema}}
    with pytest.raises(InvalidDefinition):
        read_definition(write(tmp_path, files))


def test_a_web_server_schema_comes_with_the_definition(tmp_path: Path) -> None:
    schema = {"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {}}
    definition = {**ACTOR, "webServerSchema": "./openapi.json"}
    files = {".actor/actor.json": definition, ".actor/openapi.json": schema}
    found = read_definition(write(tmp_path, files))
    assert found.content is not None
    assert found.content["webServerSchema"] == schema
