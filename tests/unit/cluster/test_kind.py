"""CLUSTER=kind: its commands, and that kind reads its settings and has its options. No Docker is needed, and no node starts."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import demo, lanes, tools
from tests.cluster.access import Cluster, made_by
from tests.cluster.choice import Kind, Native, chosen
from tests.cluster.deviceplugin import devices
from tests.cluster.errors import ClusterError
from tests.cluster.kind import commands
from tests.cluster.kind.config import NODE_IMAGE, Place, config, device_plugin
from tests.cluster.kind.kubeconfig import unpack
from tests.cluster.kind.plan import ENGINE, SIDECAR, Plan, Programs, Tags
from tests.cluster.kind.steps import Run, Runner, Step, Write
from tests.cluster.layout import REPOSITORY, Layout, cache_root

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).parent / "golden" / "kind.sh"
PLACE = Place(Layout(Path("/cache"), Path("/clone")), Path("/cache/nvml/0123456789ab/libnvidia-ml.so.1"))
PLAN = Plan(PLACE, Programs(Path("kind"), Path("kubectl"), Path("helm")))
TAGS = Tags("localhost/fairlead/operator:1", "localhost/fairlead/vllm-cpu:1", "localhost/fairlead/device-plugin:1")

COMMANDS: dict[str, list[Step]] = {
    "make cluster-up CLUSTER=kind": [*PLAN.create(), *PLAN.advertise_gpus(TAGS.device_plugin, 5)],
    "make cluster-up CLUSTER=kind, after the machine was started anew": PLAN.restart(),
    "make images CLUSTER=kind": PLAN.fill(TAGS, "1000:1000", model=True),
    "make cluster-down CLUSTER=kind": PLAN.delete(),
}


def test_the_commands() -> None:
    shown = "\n".join(f"### {what}\n\n" + "\n\n".join(step.shown() for step in steps) + "\n" for what, steps in COMMANDS.items())
    shown = shown.replace(str(REPOSITORY), "REPOSITORY")
    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


@pytest.fixture(scope="module")
def kind() -> Path:
    """The real one, of the locked module."""
    return tools.program(cache_root(), "kind")


def create(kind: Path, folder: Path, settings: Any) -> str:
    """What kind says to these settings where no Docker answers."""
    file = folder / "kind.yaml"
    file.write_text(json.dumps(settings))
    environment = {"PATH": str(folder), "HOME": str(folder), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
    command = [str(kind), "create", "cluster", f"--config={file}", f"--kubeconfig={folder / 'kubeconfig'}", "--wait=5m"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode
    return done.stderr


def test_kind_takes_the_settings_and_goes_on_to_docker(kind: Path, tmp_path: Path) -> None:
    assert "failed to get docker info" in create(kind, tmp_path, config(PLACE))


def test_kind_would_tell_of_a_field_that_it_does_not_have(kind: Path, tmp_path: Path) -> None:
    wrong: Any = json.loads(json.dumps(config(PLACE)).replace('"hostPath"', '"hostpath"'))
    assert "field hostpath not found" in create(kind, tmp_path, wrong)


def test_the_image_of_the_node_is_the_one_that_this_kind_was_released_with(kind: Path) -> None:
    # It is in the program as its default.
    assert NODE_IMAGE.encode() in kind.read_bytes()


@pytest.mark.parametrize(
    "words", [step.argv for steps in COMMANDS.values() for step in steps if isinstance(step, Run) and step.argv[0] == "kind"]
)
def test_kind_has_each_option(kind: Path, words: tuple[str, ...]) -> None:
    command = words[1:3]
    done = subprocess.run([kind, *command, "--help"], capture_output=True, text=True, check=True, timeout=60)
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options
    assert options <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_what_a_container_with_a_gpu_mounts_is_in_the_node_where_the_machine_has_it() -> None:
    mounted = [Path(each["containerPath"]) for each in config(PLACE)["nodes"][0]["extraMounts"]]
    assert all(each["hostPath"] == each["containerPath"] for each in config(PLACE)["nodes"][0]["extraMounts"])
    wanted = [Path(each.host) for each in devices.mounts(["GPU-1"], PLACE.layout.gpus, PLACE.library)]
    for path in (*wanted, PLACE.layout.models, PLACE.layout.audit_log, PLACE.audit_policy):
        assert any(path.is_relative_to(each) for each in mounted), path


def test_the_device_plugin_sees_what_its_arguments_name() -> None:
    pod = device_plugin(PLACE, "image")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = [Path(each["mountPath"]) for each in container["volumeMounts"]]
    named = dict(each.removeprefix("--").split("=") for each in container["args"])
    assert set(named) == {"gpus", "library", "health"}
    for name in ("gpus", "health"):
        assert any(Path(named[name]).is_relative_to(each) for each in mounted), name
    assert [each["hostPath"]["path"] for each in pod["volumes"]] == [str(each) for each in mounted]


def test_the_sidecar_is_the_charts_and_the_engine_has_the_charts_version() -> None:
    defaults = yaml.safe_load((ROOT / "charts" / "fairlead" / "values.yaml").read_text())["images"]
    assert defaults["sidecar"] == SIDECAR
    assert [f"v{version}-x86_64" for version in defaults["engines"]["vllm"]] == [ENGINE.rpartition(":")[2]]


@pytest.mark.parametrize(
    ("word", "dry", "there", "expected"),
    [
        ("", "", "", Native()),
        ("", "", "kind", Kind(dry=False)),
        ("", "", "native", Native()),
        ("native", "", "", Native()),
        ("kind", "", "", Kind(dry=False)),
        ("kind", "0", "", Kind(dry=False)),
        ("kind", "1", "", Kind(dry=True)),
        ("kind", "1", "native", Kind(dry=True)),
        ("kind", "", "native", "`make cluster-down CLUSTER=native` first"),
        ("native", "", "kind", "`make cluster-down CLUSTER=kind` first"),
        ("docker", "", "", "write kind or native"),
        ("", "1", "", "CLUSTER=kind"),
    ],
)
def test_who_makes_the_cluster(tmp_path: Path, word: str, dry: str, there: str, expected: Native | Kind | str) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    if there:
        layout.state.mkdir(parents=True)
    if there == "kind":
        (layout.state / "kind.yaml").touch()
    assert made_by(layout) == (there or None)
    environ = {"FAIRLEAD_CLUSTER": word, "DRY_RUN": dry}
    if isinstance(expected, str):
        with pytest.raises(ClusterError, match=re.escape(expected)):
            chosen(layout, environ)
    else:
        maker = chosen(layout, environ)
        assert type(maker) is type(expected)
        assert isinstance(maker, Native) or maker == expected


def test_a_dry_run_needs_no_docker_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    layout = Layout(tmp_path / "cache", Path("/clone"))
    assert commands.up(layout, None, dry=True) is None
    commands.images(layout, dry=True)
    demo.show(Kind(dry=True), layout)
    commands.down(layout, dry=True)
    assert list(tmp_path.iterdir()) == []
    shown = [line for line in capsys.readouterr().out.splitlines() if line.split(" ")[0] in {"kind", "docker", "kubectl", "helm"}]
    assert shown[0].startswith("kind create cluster ")
    assert any(line.startswith("helm ") and "/charts/fairlead" in line for line in shown)
    assert any(line.startswith("kubectl ") and line.endswith("/examples/quickstart.yaml") for line in shown)
    assert shown[-1].startswith("kind delete cluster ")


def test_without_docker_one_sentence_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    layout = Layout(tmp_path / "cache", Path("/clone"))
    with pytest.raises(ClusterError, match="Docker is not installed"):
        commands.up(layout, None, dry=False)
    with pytest.raises(ClusterError, match="Docker is not installed"):
        commands.down(layout, dry=False)
    assert commands.status(layout) == (
        f"{layout.name}-control-plane does not run: `make cluster-up CLUSTER=kind` starts it",
        False,
    )


FAKE_DOCKER = """#!/bin/sh
case "$*" in
  "version "*) echo 28.2.2 ;;
  "inspect --type=container --format={{.State.Pid}} "*) echo 4711 ;;
esac
"""


@pytest.fixture
def up_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A state folder as `up` leaves it, and a Docker that knows its node."""
    layout = Layout(tmp_path / "cache", Path("/clone"))
    layout.state.mkdir(parents=True)
    (layout.state / "kind.yaml").touch()
    record = {"node_address": "127.0.0.1", "api_port": 34567, "bin_dirs": [str(tmp_path / "bin")]}
    (layout.state / "cluster.json").write_text(json.dumps(record))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(FAKE_DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return layout


def test_tests_reach_the_nodes_network_and_its_containerd(up_by_kind: Layout) -> None:
    cluster = Cluster.find(up_by_kind)
    assert cluster is not None
    assert cluster.netns_path == Path("/proc/4711/ns/net")
    assert cluster.ctr == ("docker", "exec", "--interactive", f"{up_by_kind.name}-control-plane", "ctr", "--namespace=k8s.io")
    assert (cluster.api.host, cluster.api.port) == ("127.0.0.1", 34567)


def test_without_its_container_there_is_no_cluster(up_by_kind: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Cluster.find(up_by_kind) is None


def test_the_certificates_of_kinds_kubeconfig_are_taken_out(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "cache", Path("/clone"))
    layout.state.mkdir(parents=True)
    kubectl = tmp_path / "kubectl"
    view = {
        "clusters": [{"cluster": {"server": "https://127.0.0.1:34567", "certificate-authority-data": "YQ=="}}],
        "users": [{"user": {"client-certificate-data": "Yg==", "client-key-data": "Yw=="}}],
    }
    kubectl.write_text(f"#!/bin/sh\necho '{json.dumps(view)}'\n")
    kubectl.chmod(0o755)
    assert unpack(kubectl, layout) == ("127.0.0.1", 34567)
    assert [(layout.pki / name).read_text() for name in ("ca.crt", "admin.crt", "admin.key")] == ["a", "b", "c"]
    assert (layout.pki / "admin.key").stat().st_mode & 0o777 == 0o600


def test_a_command_that_fails_stops_the_rest_and_is_told(tmp_path: Path) -> None:
    steps: list[Step] = [
        Write("a file", tmp_path / "first", "1"),
        Run("a failure", ("sh", "-c", "echo why it failed; exit 3")),
        Write("another", tmp_path / "second", "2"),
    ]
    with pytest.raises(ClusterError, match="why it failed"):
        Runner(tmp_path / "logs", dry=False).do(steps)
    assert (tmp_path / "first").read_text() == "1"
    assert not (tmp_path / "second").exists()


def test_a_node_of_kind_needs_none_of_the_machines_packages() -> None:
    assert {each.target for each in lanes.LANES} - {each.target for each in lanes.lanes({"FAIRLEAD_CLUSTER": "kind"})} == {
        "debian"
    }
    assert lanes.lanes({}) == lanes.LANES


def test_public_ci_runs_the_commands_of_the_readme() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["kind"]
    wanted = {f"make {each}" for each in job["strategy"]["matrix"]["command"]}
    blocks = re.findall(r"^```\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert wanted == {"make demo", "make test"} <= {each.strip() for each in blocks}
    assert 'make "$COMMAND" CLUSTER=kind' in job["steps"][-1]["run"]
    assert workflow["permissions"] == {}
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]) for step in job["steps"] if "uses" in step)
