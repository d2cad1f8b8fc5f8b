"""Every ModelDeployment that users are shown becomes pods: the operator finds nothing wrong with it."""

import pytest

from fairlead.api.model_deployment import ModelDeployment
from fairlead.resources import build
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.validate import validate
from tests.examples import Manifest, documents, model_deployments

CONTEXT = BuildContext(
    images=Images(sidecar="registry.example.com/envoy:v1.40.0", engines={"vllm": {"0.32.0": "registry.example.com/vllm:0.32.0"}}),
    operator_namespace="fairlead-system",
)
SHOWN = model_deployments()


@pytest.mark.parametrize("manifest", SHOWN.values(), ids=SHOWN)
def test_the_operator_finds_nothing_wrong(manifest: Manifest) -> None:
    mdep = ModelDeployment.model_validate(manifest)
    assert validate(mdep, CONTEXT) == []
    kinds = [child["kind"] for child in build(mdep, CONTEXT)]
    assert kinds == ["ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"]


def test_the_texts_show_some() -> None:
    """So that a change in how the texts are read does not leave them out unseen."""
    shown = {where.partition("#")[0] for where in documents()}
    assert {"README.md", "docs/access.md", "docs/engine-args.md", "docs/install.md", "examples/quickstart.yaml"} <= shown


def test_each_example_says_what_it_is_for() -> None:
    for where, text in documents().items():
        if where.startswith("examples/"):
            assert text.startswith("# "), where
