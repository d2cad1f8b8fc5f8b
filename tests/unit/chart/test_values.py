"""Wrong values are refused before anything is installed, and the message names the value."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.chart.helm import CHART, VALUES, Helm, HelmError, of_kind

WRONG = [
    # values laid over minimal.yaml, what the message must hold
    ({"image": "x"}, ["image", "additional properties"]),
    ({"images": {"operators": "x"}}, ["/images", "operators"]),
    ({"images": {"operator": "has a space"}}, ["/images/operator", "pattern"]),
    ({"images": {"sidecar": ""}}, ["/images/sidecar", "pattern"]),
    ({"images": {"engines": {"sglang": {"0.5.0": "x"}}}}, ["/images/engines", "sglang"]),
    ({"images": {"engines": {"vllm": {"latest": "x"}}}}, ["/images/engines/vllm", "latest"]),
    ({"engine": {"allowedFlags": ["--trust-remote-code"]}}, ["/engine/allowedFlags/0", "pattern"]),
    ({"engine": {"allowedFlags": "trust-remote-code"}}, ["/engine/allowedFlags", "array"]),
    ({"modelHub": {"endpoint": "hub.example.com"}}, ["/modelHub/endpoint", "pattern"]),
    ({"modelHub": {"endpoint": "https://user:secret@hub.example.com"}}, ["/modelHub/endpoint", "pattern"]),
    ({"modelHub": {"token": "x"}}, ["/modelHub", "token"]),
    ({"prometheus": {"url": "prometheus:9090"}}, ["/prometheus/url", "pattern"]),
    ({"prometheus": {"url": "http://user:secret@prometheus"}}, ["/prometheus/url", "pattern"]),
    ({"prometheus": {"ports": []}}, ["/prometheus/ports", "minItems"]),
    ({"prometheus": {"podLabel": "kubernetes.io/pod"}}, ["/prometheus/podLabel", "pattern"]),
    ({"prometheus": {"token": "x"}}, ["/prometheus", "token"]),
    ({"prePull": {"enabled": "yes"}}, ["/prePull/enabled", "boolean"]),
    ({"prePull": {"images": []}}, ["/prePull", "images"]),
    ({"prePull": {"tolerations": [{"operator": "Is"}]}}, ["/prePull/tolerations/0/operator", "Exists"]),
    ({"scrapeFrom": [{}]}, ["/scrapeFrom/0", "minProperties"]),
    ({"scrapeFrom": [{"namespace": "monitoring"}]}, ["/scrapeFrom/0", "namespace"]),
    ({"logLevel": "verbose"}, ["/logLevel", "'debug', 'info', 'warning', 'error'"]),
    ({"resources": {"limits": {"memory": "512 MB"}}}, ["/resources/limits/memory", "pattern"]),
    ({"resources": {"claims": []}}, ["/resources", "claims"]),
    ({"nodeSelector": {"gpu": True}}, ["/nodeSelector/gpu", "string"]),
    ({"tolerations": [{"operator": "Is"}]}, ["/tolerations/0/operator", "Exists"]),
    ({"affinity": {"nodes": {}}}, ["/affinity", "nodes"]),
    ({"imagePullSecrets": ["registry"]}, ["/imagePullSecrets/0", "object"]),
    ({"networkPolicy": {"enabled": "yes"}}, ["/networkPolicy/enabled", "boolean"]),
    ({"networkPolicy": {"apiServerPorts": [70000]}}, ["/networkPolicy/apiServerPorts/0", "65,535"]),
    ({"rbac": {"create": True}}, ["/rbac", "create"]),
    ({"argocd": {"healthCheck": "on"}}, ["/argocd/healthCheck", "boolean"]),
    ({"argocd": {"namespace": "argocd"}}, ["/argocd", "namespace"]),
    ({"watchNamespaces": ["Team A"]}, ["/watchNamespaces/0", "pattern"]),
    ({"watchNamespaces": "team-a"}, ["/watchNamespaces", "array"]),
    ({"workers": 0}, ["/workers", "minimum"]),
    ({"resyncSeconds": 1}, ["/resyncSeconds", "minimum"]),
    ({"replicas": 0}, ["/replicas", "minimum"]),
    ({"replicas": "two"}, ["/replicas", "integer"]),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[json.dumps(values) for values, _ in WRONG])
def test_refused_with_the_path(helm: Helm, tmp_path: Path, values: dict[str, Any], message: list[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(HelmError) as refusal:
        helm.render("--values", str(file))
    for part in message:
        assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("unset", "message"),
    [
        ("images.operator=", "images.operator is empty"),
        (r"images.engines.vllm.0\.32\.0=", 'images.engines.vllm."0.32.0" is empty'),
    ],
)
def test_an_image_that_must_be_named_is_asked_for(helm: Helm, unset: str, message: str) -> None:
    with pytest.raises(HelmError, match=message) as refusal:
        helm.render("--set", unset)
    assert "for example registry.example.com/fairlead/" in str(refusal.value)


def test_the_values_of_the_installation_guide_are_taken(helm: Helm, tmp_path: Path) -> None:
    guide = (CHART.parents[1] / "docs" / "install.md").read_text()
    file = tmp_path / "values.yaml"
    file.write_text(guide.partition("```yaml\n# values.yaml\n")[2].partition("```")[0])
    settings = of_kind(helm.manifests("--values", str(file)), "ConfigMap")["data"]["operator.json"]
    assert json.loads(settings)["scrapeFrom"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "monitoring"
    }


def leaves(values: object, path: str = "") -> set[str]:
    """Paths of the values that the chart reads; what lies under a free-form one counts as that one."""
    free = {"/images/engines/vllm", "/resources", "/nodeSelector", "/affinity", "/prePull/nodeSelector"}
    if isinstance(values, dict) and values and path not in free:
        return set().union(*(leaves(each, f"{path}/{key}") for key, each in values.items()))
    return {path}


def test_the_full_example_sets_every_value() -> None:
    """So that the golden file of the full example shows what each value does."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    full = yaml.safe_load((VALUES / "full.yaml").read_text())
    # enabled: false would leave out the very policy that the other values shape; it has a test of its own
    assert leaves(defaults) - leaves(full) == {"/networkPolicy/enabled"}
