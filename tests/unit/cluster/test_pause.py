import hashlib
import json
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cluster import pause
from tests.cluster.progress import wait_until


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pause.build(tmp_path_factory.mktemp("cache"))


def test_the_image_is_what_its_manifest_says(program: Path, tmp_path: Path) -> None:
    archive = tmp_path / "pause.tar"
    pause.write_image(program, archive)
    with tarfile.open(archive) as tar:
        content = {name: found.read() for name in tar.getnames() if (found := tar.extractfile(name))}
    [manifest] = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == [pause.image_name()]
    layers = [f"sha256:{hashlib.sha256(content[name]).hexdigest()}" for name in manifest["Layers"]]
    assert json.loads(content[manifest["Config"]])["rootfs"]["diff_ids"] == layers


def test_it_needs_no_library(program: Path) -> None:
    assert b"/ld-linux" not in program.read_bytes()


def test_it_waits_until_it_is_told_to_end(program: Path) -> None:
    process = subprocess.Popen([str(program)])
    try:
        proc = Path(f"/proc/{process.pid}")

        def waits() -> bool:
            # Asleep, and not the fork of this process any more: that can only be in its wait for a signal.
            return (proc / "exe").resolve() == program and "State:\tS" in (proc / "status").read_text()

        wait_until("its wait", waits, seconds=10)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
