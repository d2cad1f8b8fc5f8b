"""The fake NVML, asked by the same client library as in production, each question in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.gpus import FakeGPU, Name
from tests.cluster.nvml.build import build

GIB = 1 << 30
NEAR, FAR = "GPU-00000000-near", "GPU-11111111-far"
FIRST = "gpu = nvmlDeviceGetHandleByIndex(0);"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("cache"))


class Machine:
    """A machine with fake GPUs, and processes on it that ask NVML."""

    def __init__(self, library: Path, root: Path) -> None:
        self.root = root
        self.env = {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_ROOT": str(root)}

    def gpu(self, uuid: str = NEAR) -> FakeGPU:
        return FakeGPU(self.root / uuid)

    def start(self, *lines: str) -> subprocess.Popen[str]:
        """A process that runs `lines` after nvmlInit; each `say(x)` is a line of JSON, an NVML error is `{"error": code}`."""
        program = "\n".join(
            [
                "import json",
                "from pynvml import *",
                "def say(answer): print(json.dumps(answer), flush=True)",
                "try:",
                *(f"    {line}" for line in ("nvmlInit()", *lines)),
                "except NVMLError as error: say({'error': error.value})",
            ]
        )
        return subprocess.Popen(
            [sys.executable, "-c", program],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, *lines: str) -> Any:
        """The one answer of such a process."""
        answer, complaints = self.start(*lines).communicate(timeout=30)
        assert answer.count("\n") == 1, (answer, complaints)
        return json.loads(answer)


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Machine:
    return Machine(library, tmp_path)


def test_build_is_kept_until_the_sources_change(library: Path) -> None:
    before = library.stat()
    assert build(library.parents[2]) == library
    assert library.stat() == before


def test_a_healthy_device_by_default(machine: Machine) -> None:
    machine.gpu()
    assert machine.ask(
        FIRST,
        "memory = nvmlDeviceGetMemoryInfo(gpu)",
        "errors = nvmlDeviceGetTotalEccErrors(gpu, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC)",
        "say([nvmlSystemGetDriverVersion(), nvmlDeviceGetCount(), nvmlDeviceGetUUID(gpu), nvmlDeviceGetName(gpu),",
        "     nvmlDeviceGetIndex(gpu), memory.total, memory.free, memory.used, errors, nvmlDeviceGetEccMode(gpu),",
        "     nvmlDeviceGetMigMode(gpu), nvmlDeviceGetUtilizationRates(gpu).gpu, nvmlDeviceGetComputeRunningProcesses(gpu)])",
    ) == ["0.0-fake", 1, NEAR, "Fake GPU", 0, 24 * GIB, 24 * GIB, 0, 0, [1, 1], [0, 0], 0, []]


def test_devices_are_told_apart_by_uuid(machine: Machine) -> None:
    machine.gpu(FAR).set("utilization_gpu", 93)
    machine.gpu(NEAR).set("utilization_gpu", 7)
    assert machine.ask(
        "say([[nvmlDeviceGetUUID(gpu), nvmlDeviceGetUtilizationRates(gpu).gpu]",
        f"     for gpu in [nvmlDeviceGetHandleByIndex(1), nvmlDeviceGetHandleByUUID({NEAR!r})]])",
    ) == [[FAR, 93], [NEAR, 7]]


@pytest.mark.parametrize(
    ("numbers", "total_free_used"),
    [
        ({}, [24 * GIB, 24 * GIB, 0]),
        ({"memory_total_bytes": 1000}, [1000, 1000, 0]),
        ({"memory_total_bytes": 1000, "memory_used_bytes": 999}, [1000, 1, 999]),
        ({"memory_total_bytes": 1000, "memory_used_bytes": 2000}, [1000, 0, 1000]),
        ({"engine_bytes": GIB}, [24 * GIB, 24 * GIB, 0]),
    ],
)
@pytest.mark.parametrize("version", ["None", "nvmlMemory_v2"])
def test_memory(machine: Machine, numbers: dict[Name, int], total_free_used: list[int], version: str) -> None:
    gpu = machine.gpu()
    for name, value in numbers.items():
        gpu.set(name, value)
    assert (
        machine.ask(
            FIRST, f"memory = nvmlDeviceGetMemoryInfo(gpu, version={version})", "say([memory.total, memory.free, memory.used])"
        )
        == total_free_used
    )


def test_a_running_engine_holds_memory_until_it_is_gone(machine: Machine) -> None:
    gpu = machine.gpu()
    gpu.set("memory_used_bytes", GIB)
    gpu.set("engine_bytes", 10 * GIB)
    gpu.set("engine_match", "engine of test 42")
    question = (
        FIRST,
        "processes = nvmlDeviceGetComputeRunningProcesses(gpu)",
        "say([nvmlDeviceGetMemoryInfo(gpu).used, [[p.pid, p.usedGpuMemory] for p in processes]])",
    )
    engine = subprocess.Popen(["python3", "-c", "input()", "the", "engine", "of", "test", "42"], stdin=subprocess.PIPE)
    try:
        assert machine.ask(*question) == [11 * GIB, [[engine.pid, 10 * GIB]]]
    finally:
        engine.communicate(b"\n", timeout=30)
    assert machine.ask(*question) == [GIB, []]


def test_the_process_that_asks_is_not_the_engine(machine: Machine) -> None:
    machine.gpu().set("engine_bytes", GIB)
    machine.gpu().set("engine_match", "it_asks_for_itself")
    assert machine.ask(FIRST, "it_asks_for_itself = nvmlDeviceGetMemoryInfo(gpu)", "say(it_asks_for_itself.used)") == 0


@pytest.mark.parametrize("counter", ["NVML_VOLATILE_ECC", "NVML_AGGREGATE_ECC"])
def test_ecc_errors(machine: Machine, counter: str) -> None:
    machine.gpu().set("ecc_uncorrected", 3)
    assert machine.ask(
        FIRST,
        "kinds = [NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_MEMORY_ERROR_TYPE_UNCORRECTED]",
        f"totals = [nvmlDeviceGetTotalEccErrors(gpu, kind, {counter}) for kind in kinds]",
        "places = [NVML_MEMORY_LOCATION_DRAM, NVML_MEMORY_LOCATION_SRAM]",
        f"say([totals, [[nvmlDeviceGetMemoryErrorCounter(gpu, kind, {counter}, place) for kind in kinds] for place in places]])",
    ) == [[0, 3], [[0, 3], [0, 0]]]


def test_a_device_without_ecc(machine: Machine) -> None:
    machine.gpu().set("ecc_enabled", 0)
    assert machine.ask(FIRST, "say(nvmlDeviceGetEccMode(gpu))") == [0, 0]
    assert machine.ask(FIRST, "nvmlDeviceGetTotalEccErrors(gpu, 1, 0)") == {"error": 3}


WATCH = (
    FIRST,
    "watch = nvmlEventSetCreate()",
    "nvmlDeviceRegisterEvents(gpu, nvmlDeviceGetSupportedEventTypes(gpu) & nvmlEventTypeXidCriticalError, watch)",
    "say('watching')",
    "while (event := nvmlEventSetWait_v2(watch, 30000)).eventData != 1:",
    "    say([event.eventType == nvmlEventTypeXidCriticalError, event.eventData, nvmlDeviceGetUUID(event.device)])",
    "nvmlEventSetFree(watch)",
)


def test_each_xid_reported_after_registering_is_one_event(machine: Machine) -> None:
    gpu = machine.gpu()
    gpu.append("xid", 13)
    watcher = machine.start(*WATCH)
    assert watcher.stdout
    heard = []
    assert json.loads(watcher.stdout.readline()) == "watching"
    for xids in ([79], [79, 48]):
        for xid in xids:
            gpu.append("xid", xid)
        heard += [json.loads(watcher.stdout.readline()) for _ in xids]
    gpu.append("xid", 1)
    rest, _ = watcher.communicate(timeout=30)
    assert heard == [[True, 79, NEAR], [True, 79, NEAR], [True, 48, NEAR]]
    assert rest == ""


def test_waiting_for_events_ends_at_its_timeout(machine: Machine) -> None:
    machine.gpu().append("xid", 79)
    assert machine.ask(
        FIRST,
        "watch = nvmlEventSetCreate()",
        "nvmlDeviceRegisterEvents(gpu, nvmlEventTypeXidCriticalError, watch)",
        "nvmlEventSetWait_v2(watch, 1)",
    ) == {"error": 10}


def test_only_xids_can_be_registered_for(machine: Machine) -> None:
    machine.gpu()
    register = "nvmlDeviceRegisterEvents(gpu, nvmlEventTypeDoubleBitEccError, nvmlEventSetCreate())"
    assert machine.ask(FIRST, register) == {"error": 3}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("say(nvmlDeviceGetMemoryInfo(gpu).used)", 0),
        ("say(nvmlDeviceGetUtilizationRates(gpu).gpu)", 0),
        ("say(nvmlDeviceGetCount())", 1),
        ("nvmlShutdown(); nvmlInit(); say('again')", "again"),
        ("nvmlEventSetWait_v2(watch, 0)", {"error": 10}),
    ],
)
def test_a_hanging_device_blocks_a_call_until_it_recovers(machine: Machine, call: str, answer: object) -> None:
    gpu = machine.gpu()
    asker = machine.start(FIRST, "watch = nvmlEventSetCreate()", "say('well')", "input()", call)
    assert asker.stdin
    assert asker.stdout
    assert json.loads(asker.stdout.readline()) == "well"
    gpu.set("hang", 1)
    asker.stdin.write("go on\n")
    asker.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        asker.wait(timeout=0.5)
    gpu.clear("hang")
    assert json.loads(asker.communicate(timeout=30)[0]) == answer


def test_a_hanging_neighbour_does_not_block_a_device(machine: Machine) -> None:
    machine.gpu()
    hang = machine.gpu(FAR).folder / "hang"
    assert machine.ask(FIRST, f"open({str(hang)!r}, 'w')", "say(nvmlDeviceGetMemoryInfo(gpu).used)") == 0


@pytest.mark.parametrize("code", [15, 999])
def test_an_error_code_is_answered_by_every_call(machine: Machine, code: int) -> None:
    machine.gpu().set("error", code)
    assert machine.ask("say('not reached')") == {"error": code}


def test_an_error_can_come_and_go(machine: Machine) -> None:
    error = str(machine.gpu().folder / "error")
    assert machine.ask(
        FIRST,
        f"open({error!r}, 'w').write('15')",
        "try: nvmlDeviceGetMemoryInfo(gpu)",
        "except NVMLError_GpuIsLost as lost: seen = str(lost)",
        f"import os; os.unlink({error!r})",
        "say([seen, nvmlDeviceGetMemoryInfo(gpu).used])",
    ) == ["GPU is lost", 0]


def test_a_device_whose_folder_is_gone_is_lost(machine: Machine) -> None:
    folder = str(machine.gpu().folder)
    assert machine.ask(FIRST, f"import os; os.rmdir({folder!r})", "nvmlDeviceGetMemoryInfo(gpu)") == {"error": 15}


@pytest.mark.parametrize("text", ["", "-1", "lots", "1 2", "0x10", "99999999999999999999"])
def test_a_file_that_holds_no_number_is_named(machine: Machine, text: str) -> None:
    path = machine.gpu().folder / "memory_used_bytes"
    path.write_text(text)
    answer, complaint = machine.start(FIRST, "nvmlDeviceGetMemoryInfo(gpu)").communicate(timeout=30)
    assert json.loads(answer) == {"error": 999}
    assert complaint == f'fake NVML: {path} holds "{text}": write one non-negative decimal number\n'


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("nvmlDeviceGetHandleByIndex(1)", 2),
        ("nvmlDeviceGetHandleByUUID('GPU-no-such')", 6),
        ("nvmlShutdown(); nvmlDeviceGetCount()", 1),
        ("nvmlDeviceGetTemperature(nvmlDeviceGetHandleByIndex(0), 0)", 13),
    ],
)
def test_misuse_is_answered_as_nvml_does(machine: Machine, call: str, code: int) -> None:
    machine.gpu()
    assert machine.ask(call) == {"error": code}


def test_a_machine_without_a_driver(library: Path, tmp_path: Path) -> None:
    assert Machine(library, tmp_path / "none").ask("say('not reached')") == {"error": 9}
