"""The engine behind the sidecar: one for a file, where its tests do not need one in a state of their own."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.unit.sidecar.good_client import GoodClient
from tests.unit.sidecar.proxy import Sidecar
from tests.unit.sidecar.stub_engine import StubEngine


@pytest.fixture(scope="module")
def engine() -> Iterator[StubEngine]:
    with closing(StubEngine()) as engine:
        yield engine


@pytest.fixture
def forget(engine: StubEngine) -> None:
    """What the tests before this one have sent."""
    engine.seen.clear()


@pytest.fixture(scope="module")
def good(proxy: Sidecar) -> Iterator[GoodClient]:
    """A client of the file's proxy from before its first test until after its last."""
    with GoodClient(proxy.http) as client:
        yield client
