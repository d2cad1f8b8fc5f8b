import sys
import uuid
from pathlib import Path

import pytest

from tests.cluster.deviceplugin import devices, interpreter
from tests.cluster.errors import ClusterError
from tests.cluster.layout import REPOSITORY


def test_uuids_are_the_same_each_time_and_differ_between_clones() -> None:
    one, again, other = devices.names("abcdef", 5), devices.names("abcdef", 3), devices.names("abcde0", 5)
    assert again == one[:3]
    assert len({*one, *other}) == 10
    for name in one:
        assert str(uuid.UUID(name.removeprefix("GPU-"))) == name.removeprefix("GPU-")


def test_a_container_sees_its_own_devices_and_the_library() -> None:
    found = devices.mounts(["GPU-a", "GPU-b"], Path("/state/gpus"), Path("/cache/libnvidia-ml.so.1"))
    assert {mount.container: mount.host for mount in found} == {
        "/run/fake-nvml/GPU-a": "/state/gpus/GPU-a",
        "/run/fake-nvml/GPU-b": "/state/gpus/GPU-b",
        "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "/cache/libnvidia-ml.so.1",
    }
    assert devices.visible(["GPU-a", "GPU-b"]) == {"NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-b"}


@pytest.mark.parametrize(
    ("text", "expected"), [(None, set()), ("", set()), ("GPU-a\n", {"GPU-a"}), ("GPU-a\nGPU-b", {"GPU-a", "GPU-b"})]
)
def test_unhealthy_devices_are_read_from_a_file(tmp_path: Path, text: str | None, expected: set[str]) -> None:
    file = tmp_path / "unhealthy"
    if text is not None:
        file.write_text(text)
    assert devices.unhealthy(file) == expected


def test_the_plugins_packages_are_locked_with_the_tests() -> None:
    lines = interpreter.locked((REPOSITORY / "tests" / "requirements.txt").read_text()).splitlines()
    names = [line.partition("==")[0] for line in lines if not line.startswith(" ")]
    assert set(names) == set(interpreter.PACKAGES)
    hashes = [line for line in lines if line.startswith("    --hash=sha256:")]
    assert len(hashes) == len(lines) - len(names)
    assert not lines[-1].endswith("\\")


def test_only_whole_entries_are_taken() -> None:
    other = "other==2 \\\n    --hash=sha256:c\n"
    text = "# c\ngrpcio==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n    # via x\n" + other + "protobuf==3\n"
    assert interpreter.locked(text) == "grpcio==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\nprotobuf==3\n"


def test_a_named_interpreter_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_PYTHON", sys.executable)
    assert interpreter.find(tmp_path) == sys.executable
    monkeypatch.setenv("FAIRLEAD_PYTHON", str(tmp_path / "gone"))
    with pytest.raises(ClusterError, match="gone"):
        interpreter.find(tmp_path)
