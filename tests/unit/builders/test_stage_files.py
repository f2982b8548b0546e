"""Files of stages: paths that stay inside, COPY, `.dockerignore`, layers, mounts."""

import os
from pathlib import Path

import pytest

from callboard.builders.process import overlays, system, tree
from callboard.builders.process.copying import Origin, Placement, digest
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.ignoring import parse_ignore_rules
from callboard.builders.process.layers import Layers, identity
from callboard.builders.process.views import named_folders, parts

MEGABYTE = 1024 * 1024


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def listed(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_dir() or path.is_symlink()
    )


@pytest.mark.parametrize(
    ("link", "path", "expected"),
    [
        ("/etc", "/link/passwd", "etc/passwd"),
        ("../../../../etc", "/link/passwd", "etc/passwd"),
        ("/", "/link/a", "a"),
        ("b/../c", "/link/x", "c/x"),
    ],
)
def test_links_are_followed_as_if_the_stage_were_the_whole_machine(
    tmp_path: Path, link: str, path: str, expected: str
) -> None:
    (tmp_path / "link").symlink_to(link)
    assert tree.resolve(tmp_path, path) == tmp_path / expected


def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(BuildFailed, match="Too many links"):
        tree.resolve(tmp_path, "/a/x")


@pytest.mark.parametrize(
    ("patterns", "target", "expected"),
    [
        (["a.txt"], "/new.txt", ["new.txt"]),
        (["a.txt"], "/dir/", ["dir/a.txt"]),
        (["a.txt", "b.txt"], "/dir", ["dir/a.txt", "dir/b.txt"]),
        (["*.txt"], "/dir/", ["dir/a.txt", "dir/b.txt"]),
        (["sub"], "/dir", ["dir/deep/d.md", "dir/s.md"]),
        (["s*b/s.md"], "/x/", ["x/s.md"]),
        (["?.txt", "nothing*"], "/x/", ["x/a.txt", "x/b.txt"]),
        (["/../../a.txt"], "/x/", ["x/a.txt"]),
        (["a.txt"], "/usr/bin/", ["usr/local/bin/a.txt"]),
    ],
)
def test_copy_puts_files_where_docker_does(
    tmp_path: Path, patterns: list[str], target: str, expected: list[str]
) -> None:
    source = fill(tmp_path / "source", "a.txt", "b.txt", "sub/s.md", "sub/deep/d.md")
    (tmp_path / "root").mkdir()
    Placement(tmp_path / "root").copy(Origin(source), patterns, target)
    assert listed(tmp_path / "root") == expected


def test_copy_replaces_a_shared_file_without_writing_into_it(tmp_path: Path) -> None:
    source = fill(tmp_path / "source", "f")
    root = fill(tmp_path / "root", "old")
    os.link(root / "old", root / "f")
    Placement(root).copy(Origin(source), ["f"], "/f")
    assert ((root / "old").read_text(), (root / "f").read_text()) == ("old", "f")


def test_copy_of_a_link_copies_the_link(tmp_path: Path) -> None:
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/link").symlink_to("/etc/passwd")
    (tmp_path / "root").mkdir()
    Placement(tmp_path / "root").copy(Origin(tmp_path / "source"), ["d"], "/d")
    assert os.readlink(tmp_path / "root/d/link") == "/etc/passwd"


def test_ignored_files_are_left_out_and_do_not_count(tmp_path: Path) -> None:
    source = fill(
        tmp_path / "source", "a.py", "b.log", "keep.log", "node_modules/x/y", "src/node_modules/z"
    )
    rules = parse_ignore_rules(
        ["# comment", "", "*.log", "!keep.log", "node_modules/", "**/node_modules"]
    )
    origin = Origin(source, rules)
    before = digest(origin, ["."])
    (source / "b.log").write_text("changed")
    assert digest(origin, ["."]) == before
    (source / "a.py").write_text("changed")
    assert digest(origin, ["."]) != before
    (tmp_path / "root").mkdir()
    Placement(tmp_path / "root").copy(origin, ["."], "/")
    assert listed(tmp_path / "root") == ["a.py", "keep.log"]


def test_parts_of_an_identity_are_kept_apart() -> None:
    assert identity("ab", "c") != identity("a", "bc")


def test_a_kept_tree_is_restored_and_survives_changes_to_the_copy(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "layers", limit_bytes=MEGABYTE)
    layers.save("key", fill(tmp_path / "made", "a/b"))
    assert layers.restore("key", tmp_path / "copy")
    (tmp_path / "copy/a/b").unlink()
    assert layers.restore("key", tmp_path / "again")
    assert (tmp_path / "again/a/b").read_text() == "a/b"
    assert not layers.restore("other", tmp_path / "other")


def test_a_build_keeps_no_more_than_its_share_though_its_steps_delete_it(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "layers", limit_bytes=3 * MEGABYTE)
    (tmp_path / "made").mkdir()
    for number in range(3):
        (tmp_path / "made/file").unlink(missing_ok=True)
        (tmp_path / "made/file").write_bytes(os.urandom(MEGABYTE))
        layers.save(f"{number}", tmp_path / "made")
    layers.save("the same files again", tmp_path / "made")
    (tmp_path / "made/more").write_bytes(os.urandom(MEGABYTE))
    with pytest.raises(OSError, match="more than its disk limit"):
        layers.save("more", tmp_path / "made")
    assert not layers.has("more")


def test_pruning_drops_the_trees_unused_for_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callboard.builders.process.layers.MAX_LAYERS", 2)
    layers = Layers(tmp_path / "layers", limit_bytes=MEGABYTE)
    for age, key in enumerate(["newest", "middle", "oldest"]):
        layers.save(key, fill(tmp_path / key, "f"))
        os.utime(tmp_path / "layers" / key, (1e9 * 2 - age, 2e9 - age))
    layers.prune()
    assert [key for key in ("newest", "middle", "oldest") if layers.has(key)] == [
        "newest",
        "middle",
    ]


def test_what_a_stage_has_is_mounted_beside_the_hosts_system(tmp_path: Path) -> None:
    root = fill(
        tmp_path,
        "app/a",
        "usr/local/bin/x",
        "usr/bin/hidden",
        "opt/one/f",
        "opt/two/f",
        "tmp/t",
        "top.txt",
    )
    (root / "evil").symlink_to("/etc")
    found = {part.path for part in parts(root, around=["/opt/one"])}
    assert found == {"/app", "/usr/local", "/opt/two", "/top.txt"}


def test_no_mount_lies_inside_another(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/b/c/f", "a/g", "usr/src/app/f", "usr/src/other/f")
    found = [part.path for part in parts(root, around=["/a/b/c", "/usr/src/app"])]
    assert sorted(found) == ["/a/g", "/usr/src/other"]


def test_folders_that_a_dockerfile_names_are_found() -> None:
    texts = [
        "RUN mkdir /data && cp x /opt/tool/bin",
        "RUN curl https://example.com/path > /tmp/x",
        "RUN sed s/a/b/ /var/lib/x",
    ]
    assert named_folders(texts) == ["/data", "/opt", "/var/lib"]


@pytest.mark.skipif(os.geteuid() != 0, reason="overlays need root")
def test_changes_made_on_an_overlay_are_taken_over(tmp_path: Path) -> None:
    """In a child, as the mount namespace is the process's own."""
    root = fill(
        tmp_path / "root", "keep", "change", "gone", "dir/old", "dir/same", "turns/into/file"
    )
    os.link(root / "change", tmp_path / "shared")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _change_on_overlay(root, tmp_path / "layer")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert listed(root) == ["change", "dir/new", "keep", "link", "turns"]
    assert (root / "change").read_text() == "changed"
    assert (tmp_path / "shared").read_text() == "change"


def _change_on_overlay(root: Path, layer: Path) -> None:
    assert overlays.available(layer.parent)
    with overlays.mounted(root, layer) as merged:
        (merged / "change").write_text("changed")
        (merged / "gone").unlink()
        tree.remove(merged / "dir")
        fill(merged, "dir/new")
        tree.remove(merged / "turns")
        fill(merged, "turns")
        (merged / "link").symlink_to("/etc")
    overlays.take_over(layer / "upper", root)


def test_only_public_files_of_the_system_are_copied_from_images(tmp_path: Path) -> None:
    origin = Origin(tmp_path, has_system=True)
    assert origin.place("/usr/bin/env") == Path("/usr/bin/env").resolve()
    for hidden in ("/etc/passwd", "/root/.bashrc", "/usr/../etc/passwd", "/usr/lib/ssl/private/x"):
        assert origin.place(hidden).is_relative_to(tmp_path)
    (tmp_path / "link").symlink_to("/etc")
    assert origin.place("/link/passwd").is_relative_to(tmp_path)
    assert not Origin(tmp_path).place("/usr/bin/env").exists()


def test_a_link_in_the_place_of_a_system_folder_is_not_laid_over_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (root / "etc").symlink_to(tmp_path / "outside")
    assert not system.is_layered(root)
    (root / "usr/share").mkdir(parents=True)
    for path in system.layer_folders(root):
        assert (root / path[1:]).is_dir()
        assert not (root / path[1:]).is_symlink()
    assert (tmp_path / "outside/secret").exists()
