"""Fixtures: the fake NVML library, and agents as processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.nvml.build import build
from tests.unit.agent.processes import Agent, Agents


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fake libnvidia-ml.so.1."""
    return build(tmp_path_factory.mktemp("nvml")).parent


@pytest.fixture
def start_agent(tmp_path: Path, nvml: Path) -> Iterator[Callable[..., Agent]]:
    """Starts the test's one agent."""
    agents = Agents(tmp_path, nvml)
    yield agents.start
    agents.close()
