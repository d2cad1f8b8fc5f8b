"""GPUs and Xids through NVIDIA's own Python binding, on the fake library."""

import asyncio
import ctypes
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pynvml  # type: ignore[import-untyped]
import pytest

from fairlead_agent.gpu import Device, GpuError, GpuReader, Nvml
from fairlead_agent.reasons import Reason
from fairlead_agent.xid import NON_FATAL, XidWatcher, fatal, problem
from tests.cluster.gpus import FakeGPU
from tests.unit.agent.settings import GIB
from tests.waiting import until

UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture(scope="module")
def one_gpu(nvml: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGPU]:
    """The fake library in this process. It is loaded by path first: the binding then finds it by its name."""
    root = tmp_path_factory.mktemp("gpus")
    gpu = FakeGPU(root / UUID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_NVML_ROOT", str(root))
        ctypes.CDLL(str(nvml / "libnvidia-ml.so.1"), mode=ctypes.RTLD_GLOBAL)
        yield gpu


@pytest.fixture
def gpu(one_gpu: FakeGPU) -> Iterator[FakeGPU]:
    yield one_gpu
    one_gpu.clear()


def nvml_threads() -> int:
    return sum(thread.name == "nvml" for thread in threading.enumerate())


def test_a_reading(gpu: FakeGPU) -> None:
    gpu.set("memory_total_bytes", 80 * GIB)
    gpu.set("memory_used_bytes", GIB + 1)
    gpu.set("ecc_uncorrected", 3)
    gpu.set("utilization_gpu", 97)
    assert Nvml().read() == (Device(UUID, 80 * GIB, GIB + 1, 79 * GIB - 1, 3, 97),)


def test_a_device_without_ecc(gpu: FakeGPU) -> None:
    gpu.set("ecc_enabled", 0)
    (device,) = Nvml().read()
    assert device.ecc_uncorrected is None


def test_refusals_are_told_and_end(gpu: FakeGPU) -> None:
    nvml = Nvml()
    gpu.set("error", pynvml.NVML_ERROR_GPU_IS_LOST)
    with pytest.raises(GpuError) as caught:
        nvml.read()
    assert caught.value.problem.reason is Reason.NVML_UNAVAILABLE
    assert "lost" in caught.value.problem.message
    gpu.clear("error")
    assert len(nvml.read()) == 1


def test_no_library_and_no_gpu(gpu: FakeGPU, monkeypatch: pytest.MonkeyPatch) -> None:
    del gpu

    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    with monkeypatch.context() as patch:
        patch.setattr(pynvml, "nvmlInit", no_library)
        with pytest.raises(GpuError) as caught:
            Nvml().read()
    assert caught.value.problem.reason is Reason.NVML_UNAVAILABLE
    with monkeypatch.context() as patch:
        patch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
        with pytest.raises(GpuError) as caught:
            Nvml().read()
    assert caught.value.problem.reason is Reason.GPU_NOT_FOUND


async def test_a_hang_blocks_one_thread_and_nothing_else_and_ends(gpu: FakeGPU) -> None:
    nvml, asked = Nvml(), []

    def read() -> tuple[Device, ...]:
        asked.append(1)
        return nvml.read()

    reader = GpuReader(read, deadline=0.2)
    assert len(await reader.read()) == 1
    before = nvml_threads()
    gpu.set("hang", 1)
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(GpuError) as caught:
            await reader.read()
        assert caught.value.problem.reason is Reason.NVML_HUNG
        assert time.monotonic() - began >= 0.2
    assert nvml_threads() == before
    gpu.clear("hang")
    async with asyncio.timeout(5):
        while True:
            try:
                assert len(await reader.read()) == 1
            except GpuError:
                continue
            break
    assert len(asked) == 2, "the question that was open is the one that was answered"
    reader.close()
    until("the thread has ended", lambda: nvml_threads() == before - 1, seconds=5, every=0.01)


async def test_readers_at_the_same_time_share_one_answer() -> None:
    """The watch reads while the end of warm-up does."""
    asked, answer = [], threading.Event()

    def read() -> tuple[Device, ...]:
        asked.append(1)
        answer.wait(5)
        return ()

    reader = GpuReader(read, deadline=5)
    both = asyncio.gather(reader.read(), reader.read())
    async with asyncio.timeout(5):
        while not asked:  # noqa: ASYNC110  it is another thread that asks
            await asyncio.sleep(0)
    answer.set()
    assert list(await both) == [(), ()]
    assert asked == [1]
    assert await reader.read() == ()
    assert asked == [1, 1]
    reader.close()


async def test_an_answer_after_the_loop_is_gone_hurts_nobody() -> None:
    asked, answer = threading.Event(), threading.Event()

    def read() -> tuple[Device, ...]:
        asked.set()
        answer.wait(5)
        return ()

    def in_its_own_loop() -> None:
        async def ask() -> None:
            with pytest.raises(GpuError):
                await reader.read()

        asyncio.run(ask())

    reader = GpuReader(read, deadline=0.05)
    await asyncio.to_thread(in_its_own_loop)
    assert asked.is_set()
    answer.set()
    reader.close()
    until("the thread has ended", lambda: nvml_threads() == 0, seconds=5, every=0.01)


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 68, 109])
def test_xids_of_the_application_are_not_fatal(xid: int) -> None:
    assert not fatal(xid)
    assert xid in NON_FATAL


@pytest.mark.parametrize("xid", [48, 62, 63, 64, 74, 79, 92, 94, 95, 119, 120, 9999])
def test_every_other_xid_is_fatal_and_named(xid: int) -> None:
    assert fatal(xid)
    assert f"{UUID}: Xid {xid} " in problem(UUID, xid).message


def test_xids_are_heard_after_a_hang_and_a_refusal_too(gpu: FakeGPU) -> None:
    heard: list[tuple[str, int]] = []
    watcher = XidWatcher(lambda *event: heard.append(event), retry_seconds=0.05)
    gpu.set("error", pynvml.NVML_ERROR_UNKNOWN)
    watcher.start()
    gpu.clear("error")

    def told(xid: int) -> bool:
        gpu.append("xid", xid)  # again and again: only those after the registration count
        return (UUID, xid) in heard

    until("an Xid is heard", lambda: told(31), seconds=5, every=0.02)
    gpu.set("hang", 1)
    gpu.clear("hang")
    until("another one", lambda: told(79), seconds=5, every=0.02)
    watcher.close()
    until("the thread has ended", lambda: all(each.name != "xid" for each in threading.enumerate()), seconds=5, every=0.02)
