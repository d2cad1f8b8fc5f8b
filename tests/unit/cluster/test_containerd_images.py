"""What is sent to containerd and what is removed from it, with a ctr that keeps its store in a folder of text files."""

from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.images.containerd import import_missing, remove_superseded
from tests.cluster.images.oci import Image, layer_of

CTR = """#!/bin/bash
cd "$(dirname "$0")"
case "$*" in
  "images ls --quiet") cut -d' ' -f1 images;;
  "images ls") echo "REF TYPE DIGEST SIZE"; cat images;;
  "content ls --quiet") cat content;;
  "containers ls") echo "CONTAINER IMAGE RUNTIME"; cat containers;;
  "images import --local -") if [ -e broken ]; then echo "no space left"; exit 1; fi; cat > archive;;
  "images rm "*) shift 2; echo "$@" > removed;;
  *) echo "unknown: $*" >&2; exit 2;;
esac
"""


@pytest.fixture
def ctr(tmp_path: Path) -> Path:
    program = tmp_path / "ctr"
    program.write_text(CTR)
    program.chmod(0o755)
    for name in ("images", "content", "containers"):
        (tmp_path / name).touch()
    return program


def image(tmp_path: Path, tag: str) -> Image:
    tree = tmp_path / f"tree-{tag}"
    tree.mkdir()
    (tree / "big").write_bytes(b"big" * 10000)
    return Image(f"localhost/fairlead/vllm-cpu:{tag}", (layer_of(tree, tmp_path / f"layer-{tag}"),), {})


def test_only_what_is_missing_is_imported(tmp_path: Path, ctr: Path) -> None:
    there, missing = image(tmp_path, "old"), image(tmp_path, "new")
    (tmp_path / "images").write_text(f"{there.reference} t sha256:1 5\n")
    assert import_missing([there, missing], [str(ctr)]) == [missing.reference]
    assert missing.reference.encode() in (tmp_path / "archive").read_bytes()


def test_a_layer_that_is_there_is_not_sent_again(tmp_path: Path, ctr: Path) -> None:
    made = image(tmp_path, "new")
    import_missing([made], [str(ctr)])
    assert (tmp_path / "archive").stat().st_size > made.layers[0].size
    (tmp_path / "content").write_text(f"{made.layers[0].digest}\n")
    import_missing([made], [str(ctr)])
    assert (tmp_path / "archive").stat().st_size < made.layers[0].size


def test_a_refused_image_is_told_in_containerds_words(tmp_path: Path, ctr: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(ClusterError, match=r"did not take localhost/fairlead/vllm-cpu:new:\nno space left"):
        import_missing([image(tmp_path, "new")], [str(ctr)])


def test_versions_that_nothing_uses_are_removed_with_their_references_by_digest(tmp_path: Path, ctr: Path) -> None:
    (tmp_path / "images").write_text(
        "localhost/fairlead/vllm-cpu:new t sha256:1 5\n"
        "localhost/fairlead/vllm-cpu:running t sha256:2 5\n"
        "localhost/fairlead/vllm-cpu:old t sha256:3 5\n"
        "localhost/fairlead/vllm-cpu:twin t sha256:1 5\n"
        "localhost/fairlead/pause:old t sha256:4 5\n"
        "sha256:aaa t sha256:1 5\n"
        "sha256:ccc t sha256:3 5\n"
    )
    (tmp_path / "containers").write_text("0123 localhost/fairlead/vllm-cpu:running runc\n")
    removed = remove_superseded([image(tmp_path, "new")], [str(ctr)])
    assert removed == ["localhost/fairlead/vllm-cpu:old", "localhost/fairlead/vllm-cpu:twin"]
    assert (tmp_path / "removed").read_text().split() == ["--sync", *removed, "sha256:ccc"]


def test_nothing_superseded_removes_nothing(tmp_path: Path, ctr: Path) -> None:
    (tmp_path / "images").write_text("localhost/fairlead/vllm-cpu:new t sha256:1 5\n")
    assert remove_superseded([image(tmp_path, "new")], [str(ctr)]) == []
    assert not (tmp_path / "removed").exists()
