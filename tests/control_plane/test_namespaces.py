"""An operator that serves some namespaces only."""

import json
from pathlib import Path

from tests.control_plane.conftest import SETTINGS
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.objects import NAMESPACE


def test_only_the_namespaces_that_it_is_told(world: World, operator_process: OperatorProcess, tmp_path: Path) -> None:
    other = f"{world.namespace}-not"
    world.objects.create(NAMESPACE, None, {"metadata": {"name": other}})
    config = tmp_path / "operator.json"
    config.write_text(json.dumps({**SETTINGS, "namespaces": [world.namespace]}))
    narrow = OperatorProcess(operator_process.kubeconfig, config, tmp_path / "operator.log")
    narrow.start()
    try:
        elsewhere = World(world.objects, world.audit, other)
        elsewhere.create("chat")
        world.create("chat")
        world.make_ready("chat")
        world.settled()
        assert elsewhere.children("chat") == {}
        assert elsewhere.mdep("chat")["status"] == {"observedGeneration": -1}
    finally:
        assert narrow.stop() == 0
        world.objects.delete(NAMESPACE, None, other)
    assert "Traceback" not in narrow.log.read_text()
