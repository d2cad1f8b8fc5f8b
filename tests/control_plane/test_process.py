"""The operator as a process: how it starts, what it answers, how it stops, and many objects at once."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT
from tests import metrics_reference
from tests.control_plane.conftest import SETTINGS
from tests.control_plane.process import ROOT, OperatorProcess
from tests.control_plane.world import World
from tests.tenant import soon
from tests.waiting import until

MANY = 50


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (None, "cannot read the settings"),
        ("{", "not valid"),
        (json.dumps({**SETTINGS, "wrokers": 4}), "wrokers: Extra inputs are not permitted"),
        (json.dumps({**SETTINGS, "workers": 0}), "workers: Input should be greater than or equal to 1"),
        (json.dumps({**SETTINGS, "images": {}}), "images.sidecar: Field required"),
    ],
    ids=["no file", "no JSON", "unknown key", "out of bounds", "missing"],
)
def test_settings_that_cannot_be_used_are_told_in_one_line(tmp_path: Path, settings: str | None, words: str) -> None:
    config = tmp_path / "operator.json"
    if settings is not None:
        config.write_text(settings)
    done = start_once(config)
    assert done.returncode == 2
    assert done.stderr.startswith("fairlead: ")
    assert words in done.stderr
    assert str(config) in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_no_credentials_are_told_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "operator.json"
    config.write_text(json.dumps(SETTINGS))
    done = start_once(config)
    assert done.returncode == 2
    assert "set KUBECONFIG" in done.stderr
    assert done.stderr.count("\n") == 1


def start_once(config: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": str(ROOT / "operator" / "src"),
        "KUBECONFIG": str(config.parent / "none"),
        "HOME": str(config.parent),
    }
    command = [sys.executable, "-m", "fairlead.controller", f"--config={config}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_its_own_door(world: World, operator: OperatorProcess) -> None:
    world.create("chat")
    world.wait_children("chat")
    assert operator.answer("/healthz") == (200, "ok\n")
    assert operator.answer("/readyz") == (200, "ok\n")
    assert operator.answer("/nothing")[0] == 404
    assert operator.metric('fairlead_reconcile_total{result="ok"}') > 0
    assert operator.metric("fairlead_reconcile_duration_seconds_count") > 0
    assert operator.metric('fairlead_api_writes_total{kind="Deployment",verb="apply"}') > 0
    assert operator.metric('fairlead_watch_events_total{kind="ModelDeployment"}') > 0
    text = operator.answer("/metrics")[1]
    assert metrics_reference.names(text) == {metrics_reference.exposed(each) for each in metrics_reference.operator_families()}
    for family in ("fairlead_queue_depth", "fairlead_queue_oldest_age_seconds", "fairlead_watch_last_event_age_seconds"):
        assert f"# TYPE {family} gauge" in text


def test_every_line_of_the_log_is_json_with_the_key(world: World, operator: OperatorProcess) -> None:
    world.create("chat")
    world.wait_children("chat")
    lines = operator.lines()
    applied = [line for line in lines if line["message"].startswith("applied Deployment chat")]
    assert {line["key"] for line in applied if world.namespace in line["key"]} == {f"{world.namespace}/chat"}
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line) <= {"time", "level", "logger", "message", "key", "error"}
    token = json.loads(operator.kubeconfig.read_text())["users"][0]["user"]["token"]
    assert token not in operator.log.read_text()


@pytest.mark.timeout(400)
def test_sigterm_finishes_what_is_in_hand(world: World, operator: OperatorProcess) -> None:
    names = [f"chat-{number}" for number in range(12)]
    since = operator.log.stat().st_size
    for name in names:
        world.create(name, {"replicas": 0})
    soon("the first child is made", lambda: b"applied" in operator.log.read_bytes()[since:])
    assert operator.stop(signal.SIGTERM) == 0
    made = {name: world.children(name) for name in names}
    half = {name: sorted(children) for name, children in made.items() if len(children) not in (0, len(CHILDREN))}
    assert half == {}, "each visit was finished or not begun"
    assert any(made.values())
    assert any(line["message"] == "stopped, nothing in hand" for line in operator.lines())
    operator.start()
    until("all are complete", lambda: all(len(world.children(name)) == len(CHILDREN) for name in names), every=0.5)


@pytest.mark.timeout(400)
def test_a_kill_in_the_middle_leaves_nothing_behind(world: World, operator: OperatorProcess) -> None:
    names = [f"chat-{number}" for number in range(12)]
    since = operator.log.stat().st_size
    for name in names:
        world.create(name, {"replicas": 0})
    soon("the first child is made", lambda: b"applied" in operator.log.read_bytes()[since:])
    assert operator.stop(signal.SIGKILL) == -signal.SIGKILL
    operator.start()
    until("all are complete", lambda: all(len(world.children(name)) == len(CHILDREN) for name in names), every=0.5)


@pytest.mark.timeout(400)
def test_many_at_once(world: World, operator: OperatorProcess) -> None:
    since = operator.log.stat().st_size
    for number in range(MANY):
        world.create(f"chat-{number}", {"replicas": 0})

    def all_ready() -> bool:
        statuses = [each.get("status", {}) for each in world.objects.list(MODEL_DEPLOYMENT, world.namespace)]
        ready = [
            each
            for status in statuses
            for each in status.get("conditions", [])
            if each["type"] == "Ready" and each["status"] == "True"
        ]
        return len(ready) == MANY

    until("all are ready", all_ready, every=0.5)
    log = operator.log.read_bytes()[since:].decode()
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    mark = world.settled()
    assert world.writes_within(5, mark) == []
    assert operator.metric('fairlead_reconcile_total{result="error"}') == 0
