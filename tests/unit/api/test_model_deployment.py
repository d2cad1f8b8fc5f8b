from typing import Any

import pytest
from pydantic import ValidationError

from fairlead.api.model_deployment import ModelDeployment


def live(**spec: Any) -> dict[str, Any]:
    """As the API server gives it, with what others have written into metadata."""
    return {
        "apiVersion": "serving.fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {
            "name": "chat",
            "namespace": "team",
            "uid": "u-1",
            "generation": 3,
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"model": {"uri": "pvc://models/x"}, **spec},
    }


def test_a_live_object_is_read() -> None:
    read = ModelDeployment.model_validate(live(engine={"args": {"max-num-seqs": 8}}))
    assert (read.metadata.name, read.metadata.namespace, read.metadata.uid, read.metadata.generation) == (
        "chat",
        "team",
        "u-1",
        3,
    )
    assert read.spec.replicas == 2
    assert read.spec.engine.args == {"max-num-seqs": 8}
    assert read.status.observed_generation == -1


def test_the_served_name_is_the_object_s_unless_set() -> None:
    assert ModelDeployment.model_validate(live()).served_name == "chat"
    assert ModelDeployment.model_validate(live(model={"uri": "pvc://m", "servedName": "org/x"})).served_name == "org/x"


def test_what_is_written_is_what_was_read() -> None:
    spec: dict[str, Any] = {
        "model": {"uri": "pvc://models/x"},
        "engine": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}], "maxModelLen": 64},
        "pod": {"affinity": {"podAffinity": {"deep": [1]}}, "topologySpreadConstraints": []},
    }
    written = ModelDeployment.model_validate(live(**spec)).spec.to_wire()
    assert written["engine"]["env"] == spec["engine"]["env"]
    assert written["pod"]["affinity"] == {"podAffinity": {"deep": [1]}}
    assert written["pod"]["topologySpreadConstraints"] == []
    assert ModelDeployment.model_validate(live(**written)).spec == ModelDeployment.model_validate(live(**spec)).spec


@pytest.mark.parametrize(
    "spec",
    [
        {"replica": 2},
        {"engine": {"maxModelLength": 1}},
        {"engine": {"args": {"enforce-eager": True}}},
        {"engine": {"args": {"watermark": 0.5}}},
        {"replicas": 1001},
    ],
    ids=str,
)
def test_what_the_schema_refuses_the_model_refuses(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelDeployment.model_validate(live(**spec))


def test_a_newer_status_does_not_stop_an_older_operator() -> None:
    body = {**live(), "status": {"observedGeneration": 2, "inventedLater": True}}
    assert ModelDeployment.model_validate(body).status.observed_generation == 2


def test_frozen() -> None:
    read = ModelDeployment.model_validate(live())
    with pytest.raises(ValidationError, match="frozen"):
        read.spec.replicas = 3  # type: ignore[misc]
