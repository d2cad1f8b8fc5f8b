"""The tiny model as a static local volume, which a claim asks for by name."""

from pathlib import Path
from typing import Any


def model_volume(models: Path, name: str) -> dict[str, Any]:
    """A PersistentVolume on the folder with the tiny model, on this machine; any claim that names it may have it."""
    here = [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(models)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": here}},
        },
    }
