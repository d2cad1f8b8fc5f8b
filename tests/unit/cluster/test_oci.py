"""Layers and archives: reproducible, plain, and whole unless told what to leave out."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from tests.cluster.images.oci import Image, layer_of, write_archive

CONFIG = {"Entrypoint": ["/agent"], "User": "65532:65532"}


def tree(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/tool").write_text("tool")
    (folder / "bin/tool").chmod(0o755)
    (folder / "bin/same").hardlink_to(folder / "bin/tool")
    (folder / "link").symlink_to("bin/tool")
    os.mkfifo(folder / "pipe")
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000.25, 1_700_000_000.25), follow_symlinks=False)
    os.utime(folder, (1_700_000_000, 1_700_000_000))
    return folder


def test_the_same_tree_is_the_same_layer(tmp_path: Path) -> None:
    first = layer_of(tree(tmp_path / "a"), tmp_path / "a.layer")
    second = layer_of(tree(tmp_path / "b"), tmp_path / "b.layer")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest == f"sha256:{hashlib.sha256(first.path.read_bytes()).hexdigest()}"
    assert first.size == first.path.stat().st_size


def test_a_layer_is_written_once(tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    first = layer_of(source, tmp_path / "a.layer")
    (source / "bin/tool").write_text("another")
    assert layer_of(source, tmp_path / "a.layer") == first


def test_entries_belong_to_root_and_are_files_folders_and_links(tmp_path: Path) -> None:
    with tarfile.open(layer_of(tree(tmp_path / "a"), tmp_path / "a.layer").path) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
    assert sorted(entries) == [".", "./bin", "./bin/same", "./bin/tool", "./link"]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries.values()} == {(0, 0, "", 1_700_000_000)}
    assert entries["./bin/same"].mode == 0o755
    assert entries["./bin/tool"].islnk()
    assert entries["./link"].linkname == "bin/tool"


def archive(image: Image, *leave_out: str) -> dict[str, bytes]:
    buffer = io.BytesIO()
    write_archive(image, buffer, leave_out=leave_out)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file}


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = files["blobs/" + descriptor["digest"].replace(":", "/")]
    assert hashlib.sha256(data).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(data) == descriptor["size"]
    return data


def image(tmp_path: Path) -> Image:
    layers = []
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
        layers.append(layer_of(tmp_path / name, tmp_path / f"{name}.layer"))
    return Image("localhost/fairlead/thing:0123", tuple(layers), CONFIG)


def test_an_archive_leads_from_its_index_to_every_layer(tmp_path: Path) -> None:
    made = image(tmp_path)
    files = archive(made)
    (named,) = json.loads(files["index.json"])["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == made.reference
    manifest = json.loads(blob(files, named))
    config = json.loads(blob(files, manifest["config"]))
    assert config["config"] == CONFIG
    assert config["rootfs"]["diff_ids"] == [layer.digest for layer in made.layers]
    assert len(config["history"]) == len(made.layers)
    assert [blob(files, each) for each in manifest["layers"]] == [layer.path.read_bytes() for layer in made.layers]


def test_layers_that_the_reader_has_are_left_out(tmp_path: Path) -> None:
    made = image(tmp_path)
    low, high = made.layers
    whole, part = archive(made), archive(made, low.digest)
    assert set(whole) - set(part) == {"blobs/" + low.digest.replace(":", "/")}
    assert "blobs/" + high.digest.replace(":", "/") in part
