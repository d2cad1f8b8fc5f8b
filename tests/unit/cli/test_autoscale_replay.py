"""`fairlead autoscale replay`, run as a user runs it."""

from __future__ import annotations

import gzip
import lzma
import math
import os
import re
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import yaml

from fairlead.autoscaler.simulator.trace import read
from fairlead.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
SPEC = {
    "apiVersion": "serving.fairlead.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat"},
    "spec": {"model": {"uri": "pvc://models/tiny"}, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
}
SLOW = {
    "name": "a slow one",
    "step_base": 0.05,
    "step_prefill": 0.001,
    "step_decode": 0.002,
    "overhead_base": 0.01,
    "overhead_prompt": 0,
    "kv_tokens": 20_000,
    "max_running": 8,
}
"""Some requests per second are too many for one of these."""


def trace(minutes: int = 30) -> str:
    """A request every two seconds, and in the middle third three a second."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    at = 0.0
    while at < 60 * minutes:
        lines.append(f"{at},200,40")
        at += 0.34 if 20 * minutes <= at < 40 * minutes else 2.0
    return "\n".join(lines)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("chat.yaml").write_text(yaml.safe_dump_all([{"kind": "ConfigMap"}, SPEC]))
    Path("slow.yaml").write_text(yaml.safe_dump(SLOW))
    Path("busy.csv").write_text(trace())
    return tmp_path


def replay(*arguments: str) -> int:
    return main(["autoscale", "replay", *arguments])


def test_a_spec_is_played_and_drawn(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay("busy.csv", "--config", "chat.yaml", "--engine", "slow.yaml", "--cold-start", "60", "--changes") == 0
    shown = capsys.readouterr().out
    assert re.search(r"^  0:1\d:\d\d  1 -> 2  \w+: .*replicas", shown, re.MULTILINE), "more when it became busy"
    assert re.search(r"^traffic +2\d\d\d requests in 0:30:\d\d$", shown, re.MULTILINE)
    assert "replicas of       a slow one" in shown
    attainment = re.search(r"^in time +([\d.]+) %", shown, re.MULTILINE)
    assert attainment is not None
    assert 50 < float(attainment[1]) < 100
    assert re.search(r"^picture +busy.svg$", shown, re.MULTILINE)
    short = re.search(r"^over the maximum +([\d.]+) % of the time more were needed than maxReplicas$", shown, re.MULTILINE)
    assert short is not None
    assert 0 < float(short[1]) < 60, "three are too few while it is busiest"
    drawn = ET.fromstring((files / "busy.svg").read_text())  # noqa: S314  we wrote it
    words = {each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"replicas", "requests that wait in engines", "first-token time", "p99", "median", "asked for", "ready"} <= words
    assert "busy: 1 to 3 replicas, cold start 60 s" in words


def test_more_users_need_more(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("steady.csv").write_text(trace(10))  # the quiet third alone, which one replica carries
    hours = []
    for times in ("1", "8"):
        assert replay("steady.csv", "--config", "chat.yaml", "--engine", "slow.yaml", "--times", times, "--router", "fewest") == 0
        found = re.search(r"^GPU-hours +([\d.]+)$", capsys.readouterr().out, re.MULTILINE)
        assert found is not None
        hours.append(float(found[1]))
    assert hours[0] < hours[1]
    assert (files / "steady.svg").exists()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("apart", "why"),
    [
        # 2.2 requests at once: the engine has to let some wait.
        pytest.param(1.0, "QueueHigh: 5 requests wait", id="by the engine"),
        # 1.6: nobody waits for long, but the policy plans with 67 % of 2.
        pytest.param(1.35, "DemandHigh: demand for 0.", id="by the policy"),
    ],
)
def test_what_an_engine_may_have_at_once_counts(apart: float, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without maxNumSeqs the engine takes eight at once, and one replica is enough."""
    Path("steady.csv").write_text("\n".join(["time,prompt,output", *(f"{apart * index},200,40" for index in range(600))]))
    Path("two.yaml").write_text(yaml.safe_dump(SPEC).replace("spec:\n", "spec:\n  engine: {maxNumSeqs: 2}\n"))
    shown = {}
    for file in ("chat.yaml", "two.yaml"):
        assert replay("steady.csv", "--config", file, "--engine", "slow.yaml", "--changes") == 0
        shown[file] = capsys.readouterr().out
    assert re.search(r"^changes +0,", shown["chat.yaml"], re.MULTILINE)
    assert f"1 -> 2  {why}" in shown["two.yaml"]
    assert "replicas of       a slow one, maxNumSeqs 2" in shown["two.yaml"]


@pytest.mark.usefixtures("files")
def test_a_reader_who_has_seen_enough() -> None:
    """The picture is there, and nothing is said of the pipe."""
    command = [sys.executable, "-m", "fairlead.cli", "autoscale", "replay", "busy.csv", "--config", "chat.yaml"]
    for changes in ([], ["--changes"]):
        read_end, write_end = os.pipe()
        os.close(read_end)
        path = os.pathsep.join(sys.path)
        done = subprocess.run(
            [*command, *changes], stdout=write_end, stderr=subprocess.PIPE, text=True, check=False, env={"PYTHONPATH": path}
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, "")
        Path("busy.svg").unlink()


@pytest.mark.usefixtures("files")
def test_compressed_traces(capsys: pytest.CaptureFixture[str]) -> None:
    plain = trace(3).encode()
    Path("a.csv.gz").write_bytes(gzip.compress(plain))
    Path("b.csv.xz").write_bytes(lzma.compress(plain))
    outputs = []
    for file in ("a.csv.gz", "b.csv.xz"):
        assert replay(file, "--config", "chat.yaml", "--picture", "here.svg") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert "Llama 3.1 8B" in outputs[0]
    assert Path("here.svg").exists()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"], indirect=True)
@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        pytest.param(("0.5", "2", "1e2"), (0, 1.5, 99.5), id="seconds"),
        pytest.param(("2024-05-10 00:00:00.6805900", "2024-05-10 00:00:02.1805909"), (0, 1.5), id="seven decimals, as Azure's"),
        pytest.param(
            ("2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:00+00:00", "2024-05-10 00:00:02.5+00:00"),
            (0, 0.00993, 2.5),
            id="an offset, whatever the decimals",
        ),
        pytest.param(("2024-05-10 02:00:02.12345+02:00", "2024-05-10T00:00:00.1234567Z"), (0, 1.999994), id="two offsets"),
        # With New York's clock the first two would be one moment, and the last would be an hour early.
        pytest.param(("2024-03-10 02:30:00", "2024-03-10 03:30:00", "2024-03-10 04:30:00"), (0, 3600, 7200), id="summer time"),
        pytest.param(("2024-05-10", "2024-05-10 00:00:02+00:00"), (0, 2), id="without an offset it is UTC"),
    ],
)
def test_times_of_arrival(times: tuple[str, ...], seconds: tuple[float, ...], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(["time,prompt,output", *(f"{each},1,1" for each in times)]))
    assert list(read(tmp_path / "t.csv").arrival) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    ["\ufefftime,prompt,output\r\n1,2,3\r\n", "time,prompt,output\n\n1,2,3\n\n"],
    ids=["as a spreadsheet writes it", "empty lines"],
)
def test_what_editors_leave_in_a_file_does_no_harm(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert list(read(tmp_path / "t.csv").prompt) == [2]


@pytest.fixture
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """The time zone of whoever plays a trace."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def spec(**autoscaling: object) -> str:
    return yaml.safe_dump({**SPEC, "spec": {"model": {"uri": "pvc://models/tiny"}, "autoscaling": autoscaling}})


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("wrong", "arguments", "says"),
    [
        pytest.param({}, ["none.csv"], "none.csv: there is no such file", id="no trace"),
        pytest.param(
            {"t.csv": ""},
            ["t.csv"],
            "its first line must name the columns, with commas; the file is empty, with none of timestamp",
            id="empty",
        ),
        pytest.param(
            {"t.csv": "time,prompt\n1,2"}, ["t.csv"], "it is 'time,prompt', with none of generatedtokens", id="no answers"
        ),
        pytest.param({"t.csv": "time,prompt,output\n"}, ["t.csv"], "t.csv: has no request", id="no request"),
        pytest.param(
            {"t.csv": "time,prompt,output\n1,2,3\n1,x,3"}, ["t.csv"], "t.csv, line 3: '1,x,3' is no request: write", id="bad row"
        ),
        pytest.param({"t.csv": "time,prompt,output\nnan,2,3"}, ["t.csv"], "t.csv, line 2: 'nan,2,3' is no request", id="no time"),
        pytest.param({"t.csv": "time,prompt,output\n1,2\n"}, ["t.csv"], "t.csv, line 2: '1,2' is no request", id="short row"),
        pytest.param(
            {"t.csv": "time,prompt,output\n1,2,3000000000"}, ["t.csv"], "line 2: '1,2,3000000000' is no request", id="no tokens"
        ),
        pytest.param(
            {"t.csv": "time,prompt,output\n1,2,3\n2,-5,3"},
            ["t.csv"],
            "t.csv, line 3: '2,-5,3' is no request: write",
            id="below 0",
        ),
        pytest.param(
            {"t.csv": "time,prompt,output\n1,2,3\n1.7e9,2,3"}, ["t.csv"], "19676 days; is the arrival in seconds", id="too long"
        ),
        pytest.param({"t.csv.xz": "time"}, ["t.csv.xz"], "t.csv.xz: cannot be read as a trace", id="not compressed"),
        pytest.param({}, ["busy.csv", "--config", "none.yaml"], "none.yaml: there is no such file", id="no spec"),
        pytest.param({"chat.yaml": "a: ["}, ["busy.csv"], "chat.yaml: cannot be read as YAML", id="no YAML"),
        pytest.param({"chat.yaml": "a: 1"}, ["busy.csv"], "holds 0 objects of kind ModelDeployment", id="no ModelDeployment"),
        pytest.param({"chat.yaml": "a: 2026-13-01"}, ["busy.csv"], "chat.yaml: cannot be read as YAML: month must", id="no date"),
        pytest.param(
            {"chat.yaml": yaml.safe_dump({**SPEC, "metadata": ["a"]})},
            ["busy.csv"],
            "chat.yaml: is no valid ModelDeployment:\n  metadata: ",
            id="a list of metadata",
        ),
        pytest.param({"chat.yaml": spec(maxReplica=2)}, ["busy.csv"], "spec.autoscaling.maxReplica: Extra", id="unknown field"),
        pytest.param({"chat.yaml": spec(mode="External")}, ["busy.csv"], "write mode: Auto and maxReplicas", id="External"),
        pytest.param({"chat.yaml": spec()}, ["busy.csv"], "spec.autoscaling has no maxReplicas; write", id="no bound"),
        pytest.param({}, ["busy.csv", "--picture", "p.png"], "it is drawn as SVG; write a name that ends in .svg", id="a PNG"),
        pytest.param({"b.svg": trace(1)}, ["b.svg"], "b.svg: is the traffic itself; write another name", id="over the traffic"),
        pytest.param({}, ["busy.csv", "--times", "1000000"], "are more than the 10000000 that can be played", id="too many"),
        pytest.param(
            {"chat.yaml": spec(minReplicas=5, maxReplicas=2)}, ["busy.csv"], "minReplicas 5 and maxReplicas 2", id="bounds"
        ),
        pytest.param(
            {"chat.yaml": yaml.safe_dump({**SPEC, "spec": {"model": {"uri": "pvc://models/tiny"}}})},
            ["busy.csv"],
            "has no spec.autoscaling; write at least",
            id="no autoscaling",
        ),
        pytest.param({}, ["busy.csv", "--engine", "h100"], "--engine h100: write one of llama-3.1-8b-a100", id="no engine"),
        pytest.param({"e.yaml": "- 1"}, ["busy.csv", "--engine", "e.yaml"], "write the constants of one engine", id="a list"),
        pytest.param(
            {"e.yaml": yaml.safe_dump({**SLOW, "speed": 3})},
            ["busy.csv", "--engine", "e.yaml"],
            "does not know [speed]",
            id="extra",
        ),
        pytest.param(
            {"e.yaml": yaml.safe_dump({**SLOW, "kv_tokens": 0.5})},
            ["busy.csv", "--engine", "e.yaml"],
            "kv_tokens: 0.5 will not do; write a whole number",
            id="no cache",
        ),
        pytest.param(
            {"e.yaml": yaml.safe_dump({**SLOW, "step_base": math.nan})},
            ["busy.csv", "--engine", "e.yaml"],
            "step_base: nan will not do",
            id="no number",
        ),
        pytest.param(
            {"e.yaml": yaml.safe_dump({**SLOW, "step_base": 0, "step_decode": 0})},
            ["busy.csv", "--engine", "e.yaml"],
            "no step takes any time; write seconds, such as 0.016",
            id="no time",
        ),
        pytest.param({"e.yaml": "1: 2"}, ["busy.csv", "--engine", "e.yaml"], "does not know [1]", id="no name"),
        pytest.param({}, ["busy.csv", "--picture", "no/such.svg"], "no/such.svg: cannot be written", id="no such folder"),
    ],
)
def test_what_cannot_be_used_is_told(
    wrong: dict[str, str], arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in wrong.items():
        Path(name).write_text(text)
    if "--config" not in arguments:
        arguments = [*arguments, "--config", "chat.yaml"]
    assert replay(*arguments) == 2
    printed, message = capsys.readouterr()
    assert message.startswith("fairlead: ")
    assert says in message
    assert "Traceback" not in message
    assert ("GPU-hours" in printed) == ("no/such.svg" in message), "where only the picture fails, the rest is told"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--cold-start", "0", "'0' is no length of time; write seconds above 0, such as 120"),
        ("--cold-start", "nan", "'nan' is no length of time; write seconds"),
        ("--cold-start", "soon", "'soon' is no length of time; write seconds above 0, such as 120"),
        ("--times", "0", "'0' will not do; write a whole number from 1 on, such as 2"),
        ("--times", "x", "'x' will not do; write a whole number from 1 on, such as 2"),
        ("--start", "1.5", "'1.5' will not do; write a whole number"),
        ("--router", "best", "invalid choice: 'best'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        replay("busy.csv", "--config", "chat.yaml", option, value)
    assert f"{option}: {says}" in capsys.readouterr().err


def test_as_a_plugin_of_kubectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-fairlead"])
    with pytest.raises(SystemExit, match="0"):
        main(["autoscale", "--help"])
    assert "usage: kubectl fairlead autoscale" in capsys.readouterr().out


def test_the_programs_of_the_package_are_this_one_by_its_two_names() -> None:
    """The operator is none: its image starts the module (`python3 -m fairlead.controller`)."""
    scripts = tomllib.loads((ROOT / "operator/pyproject.toml").read_text())["project"]["scripts"]
    assert scripts.keys() == {"fairlead", "kubectl-fairlead"}
    for program in scripts.values():
        module, _, function = program.partition(":")
        assert getattr(import_module(module), function) is main
