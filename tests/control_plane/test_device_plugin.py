"""The device plugin of a node of kind: the API server takes it as it is written, no field is unknown to it."""

import json
from pathlib import Path

from tests.cluster.kind.config import Place, device_plugin
from tests.cluster.layout import Layout
from tests.control_plane.conftest import Api


def test_the_api_server_takes_the_device_plugin(api: Api) -> None:
    place = Place(Layout(Path("/cache"), Path("/clone")), Path("/cache/nvml/0/libnvidia-ml.so.1"))
    written = json.dumps(device_plugin(place, "localhost/fairlead/device-plugin:1"))
    command = ("apply", "--server-side", "--validate=strict", "--dry-run=server", "--filename=-")
    taken = api.kubectl(*command, stdin=written)
    assert taken.returncode == 0, taken.stderr
    refused = api.kubectl(*command, stdin=written.replace("volumeMounts", "volumeMount"))
    assert "volumeMount" in refused.stderr
