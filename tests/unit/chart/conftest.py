"""The Helm that the local cluster uses too, built once (`make helm`)."""

import pytest

from tests.cluster import tools
from tests.cluster.layout import cache_root
from tests.unit.chart.helm import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tools.ensure(cache_root(), ["helm"]).path("helm"), tmp_path_factory.mktemp("helm"))
