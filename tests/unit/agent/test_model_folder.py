"""A model that is not where it should be: told before the engine is started, and waited for."""

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead_agent.engines.protocol import Model
from fairlead_agent.engines.vllm import VLLM
from fairlead_agent.model_folder import ModelFolder, lacking
from fairlead_agent.reasons import Phase, Problem, Reason
from tests.unit.agent.processes import Agent
from tests.unit.agent.simulation import TOTAL, Replica
from tests.unit.virtual_time import in_virtual_time
from tests.waiting import until

CONFIGS = ("config.json", "params.json")


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            (root / path).mkdir(exist_ok=True)
        else:
            (root / path).write_text("{}")


#: What is on the claim, and what is said of CLAIM/org/chat.
CLAIMS: dict[str, tuple[list[str], str]] = {
    "a model": (["org/chat/config.json"], ""),
    "one in Mistral's form": (["org/chat/params.json"], ""),
    "nothing": ([], "no folder CLAIM/org/chat; CLAIM is empty"),
    "what a file system makes by itself": (["lost+found/", ".snapshot/"], "no folder CLAIM/org/chat; CLAIM is empty"),
    "other models": (
        ["tiny/config.json", "README", "llama/config.json"],
        "no folder CLAIM/org/chat; found in CLAIM: llama/, tiny/, README",
    ),
    "another one of the family": (["org/chat-8b/config.json"], "no folder CLAIM/org/chat; found in CLAIM/org: chat-8b/"),
    "a file in its place": (["org"], "no folder CLAIM/org/chat; found in CLAIM: org"),
    "weights alone": (
        ["org/chat/model.safetensors", "org/chat/1/"],
        "no config.json in CLAIM/org/chat; found in it: 1/, model.safetensors",
    ),
    "the folder alone": (["org/chat/"], "no config.json in CLAIM/org/chat; it is empty"),
    "names that nobody can read": (["a\nb/", "c\udcff/"], "no folder CLAIM/org/chat; found in CLAIM: a?b/, c?/"),
    "a folder of that name": (["org/chat/config.json/"], f"cannot read CLAIM/org/chat/config.json as user {os.getuid()}: Is a"),
}


@pytest.mark.parametrize(("claim", "said"), CLAIMS.values(), ids=CLAIMS)
def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claim: list[str], said: str) -> None:
    monkeypatch.setattr("fairlead_agent.model_folder._PATH_BYTES", 1000)
    monkeypatch.setattr("fairlead_agent.model_folder.MOST_MESSAGE_BYTES", 1000)
    put(tmp_path, *claim)
    told = lacking(Model(str(tmp_path / "org/chat"), CONFIGS)).replace(str(tmp_path), "CLAIM")
    assert told.startswith(said)
    assert bool(told) is bool(said)


def test_a_link_to_nothing_is_told_as_one(tmp_path: Path) -> None:
    """The hub's own cache holds links; copied alone they lead nowhere."""
    (tmp_path / "config.json").symlink_to("../../blobs/1")
    assert lacking(Model(str(tmp_path), CONFIGS)).endswith("/config.json is a link to what is not there: copy files, not links")


def test_a_folder_that_may_not_be_read_is_no_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    put(tmp_path, "config.json")
    monkeypatch.setattr("os.scandir", refuse)  # root, whom these tests may run as, is refused nothing
    assert lacking(Model(str(tmp_path), CONFIGS)).endswith(f" as user {os.getuid()}: Permission denied")


@pytest.mark.parametrize("folders", [0, 3, 500])
def test_few_names_of_many_and_the_end_of_a_long_path(tmp_path: Path, folders: int) -> None:
    put(tmp_path, *(f"model-\u00fc-{number:03}/" for number in range(folders)))
    told = lacking(Model(str(tmp_path / ("x" * 80)), CONFIGS))
    assert len(told.encode()) <= 140
    assert f"no folder \u2026{'x' * 40}; " in told
    assert told.endswith("\u2026") is (folders > 0)


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        (["/models/tiny"], Model("/models/tiny", CONFIGS)),
        (["org/tiny"], None),
        (["/models/tiny", "--hf-config-path=/models/other"], Model("/models/tiny", ())),
        (["/models/tiny", "--hf-config-path", "/models/other"], Model("/models/tiny", ())),
    ],
)
def test_where_vllm_looks(arguments: list[str], model: Model | None) -> None:
    assert VLLM.model(arguments) == model


async def test_the_look_is_asked_again_each_time(tmp_path: Path) -> None:
    look = ModelFolder(Model(str(tmp_path), CONFIGS), 60)
    problem = await look.problem()
    assert problem is not None
    assert problem.reason is Reason.MODEL_PATH_NOT_FOUND
    put(tmp_path, "config.json")
    assert await look.problem() is None
    assert await ModelFolder(None, 60).problem() is None


async def test_storage_that_does_not_answer_loses_one_thread_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, looks = threading.Event(), []

    def hang(model: Model) -> str:
        looks.append(model)
        answers.wait(60)
        return ""

    monkeypatch.setattr("fairlead_agent.model_folder.lacking", hang)
    look = ModelFolder(Model("/models/tiny", CONFIGS), 0.01)
    for _ in range(3):
        problem = await look.problem()
        assert problem is not None
        assert problem.message.startswith("/models/tiny has not been read for ")
    assert len(looks) == 1
    answers.set()
    async with asyncio.timeout(60):
        while await look.problem():
            pass


@in_virtual_time
async def test_the_start_waits_for_the_model_and_then_for_memory() -> None:
    replica = Replica(health__startupTimeoutSeconds=120)
    replica.lack = Problem(Reason.MODEL_PATH_NOT_FOUND, "no folder /models/tiny")
    replica.gpu.others = TOTAL
    await replica.until(lambda: replica.status["reason"] == Reason.MODEL_PATH_NOT_FOUND, 2)
    assert (replica.status["phase"], replica.status["message"]) == (Phase.WAITING_FOR_MODEL, "no folder /models/tiny")
    await replica.always(
        lambda: not replica.spawned and replica.health.started and replica.health.live and not replica.health.ready, 3600
    )
    replica.lack = None
    await replica.until(lambda: replica.health.phase is Phase.WAITING_FOR_GPU_MEMORY, 4)
    await replica.always(lambda: not replica.spawned, 60)
    replica.gpu.others = 0
    await replica.until(lambda: bool(replica.spawned), 2)
    waited = re.search(r"^fairlead_agent_gpu_wait_seconds (\S+)", replica.supervisor.metrics().decode(), re.MULTILINE)
    assert waited is not None
    assert 58 < float(waited[1]) < 66, "the wait for the model is none for memory"
    await replica.until_ready()
    await replica.close()


@in_virtual_time
async def test_told_to_end_while_it_waits_for_the_model() -> None:
    replica = Replica()
    replica.lack = Problem(Reason.MODEL_PATH_NOT_FOUND, "x")
    await asyncio.sleep(4)
    replica.supervisor.stop()
    assert (await asyncio.wait_for(replica.running, 1)).code == 0
    assert not replica.spawned


def test_an_agent_starts_its_engine_when_the_files_come(start_agent: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start_agent(with_model=False)
    until("it is told", lambda: "ModelPathNotFound" in agent.get("/status")[1], seconds=60, every=0.05, describe=agent.story)
    said = json.loads(agent.get("/status")[1])
    assert said["phase"] == "WaitingForModel"
    assert said["message"].startswith("no folder ")
    assert [agent.get(page)[0] for page in ("/startupz", "/readyz", "/livez")] == [200, 503, 200]
    assert b"fake engine" not in agent.log.read_bytes()
    put(tmp_path / "models" / tmp_path.name, "config.json")
    agent.until_page("/readyz", 200)
    agent.terminate()
    assert agent.ends() == 0
