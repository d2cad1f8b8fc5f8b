"""What the chart renders: golden files, and the properties that an update of a golden file must not lose."""

import json
import os
import textwrap
from pathlib import Path

import pytest
import yaml

from fairlead.api.model_deployment import ModelDeployment
from fairlead.controller.settings import Settings
from fairlead.resources.network_policy import _ANYWHERE as ANYWHERE
from tests.unit.chart.helm import CHART, VALUES, Helm, HelmError, Manifest, of_kind, strings

ROOT = CHART.parents[1]
GOLDEN = Path(__file__).parent / "golden"
CRD = "modeldeployments.serving.fairlead.dev"


def without_crd(rendered: str) -> str:
    """The text without the CRD, which has a drift check of its own."""
    documents = rendered.split("---\n")
    return "---\n".join(each for each in documents if "kind: CustomResourceDefinition" not in each)


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_golden(helm: Helm, name: str) -> None:
    rendered = without_crd(helm.render(values=f"{name}.yaml"))
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), "make golden rewrites the file; read the diff"


@pytest.mark.parametrize("values", [(), ("minimal.yaml",), ("full.yaml",)], ids=str)
def test_lint_is_clean(helm: Helm, values: tuple[str, ...]) -> None:
    files = [f"--values={VALUES / each}" for each in values]
    said = helm.run("lint", "--strict", str(CHART), *files)
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


def test_the_crd_is_the_one_in_crds_and_stays_after_an_uninstall(helm: Helm) -> None:
    crd = of_kind(helm.manifests(), "CustomResourceDefinition")
    (file,) = (ROOT / "crds").glob("*.yaml")
    assert crd["metadata"]["name"] == CRD
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert crd["spec"] == yaml.safe_load(file.read_text())["spec"]


def test_an_allowed_flag_is_no_longer_refused_by_the_crd(helm: Helm) -> None:
    refusal = "--trust-remote-code is refused"
    assert refusal in helm.render()
    assert refusal not in helm.render("--set", "engine.allowedFlags={trust-remote-code}")


@pytest.mark.parametrize("values", ["minimal.yaml", "full.yaml"])
def test_the_operator_reads_its_settings_from_the_config_map(helm: Helm, values: str) -> None:
    config = of_kind(helm.manifests(values=values), "ConfigMap", "fairlead-operator")
    settings = Settings.model_validate_json(config["data"]["operator.json"])
    assert settings.operator_namespace == "fairlead-system"
    assert settings.images.engines["vllm"]["0.32.0"] == "registry.example.com/fairlead/vllm:0.32.0"
    if values == "full.yaml":
        assert settings.allowed_engine_flags == ["trust-remote-code"]
        assert settings.log_level == "debug"
        assert (settings.namespaces, settings.workers, settings.resync_seconds) == (["team-a", "team-b"], 8, 60)
        assert settings.prometheus is not None
        assert (settings.prometheus.namespace_label, settings.prometheus.pod_label) == ("exported_namespace", "exported_pod")
        assert settings.scrape_from[1] == {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}


def test_the_port_of_the_settings_is_the_port_of_the_probes(helm: Helm) -> None:
    manifests = helm.manifests()
    settings = json.loads(of_kind(manifests, "ConfigMap")["data"]["operator.json"])
    (container,) = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": settings["listenPort"]}]
    assert container["livenessProbe"]["httpGet"]["port"] == container["readinessProbe"]["httpGet"]["port"] == "http"


def checksum(manifests: list[Manifest]) -> str:
    found: str = of_kind(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
    return found


def test_a_change_of_the_settings_rolls_the_operator_and_nothing_else_does(helm: Helm) -> None:
    plain = helm.manifests()
    assert checksum(helm.manifests("--set", "logLevel=debug")) != checksum(plain)
    assert checksum(helm.manifests("--set", "networkPolicy.enabled=false")) == checksum(plain)


def test_the_operator_pod_is_restricted(helm: Helm) -> None:
    """Pod Security `restricted`, and a root file system that cannot be written."""
    pod = of_kind(helm.manifests(), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert {key for each in pod["volumes"] for key in each} == {"name", "configMap", "emptyDir"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_second_operator_stands_by_on_another_node(helm: Helm) -> None:
    spec = of_kind(helm.manifests(), "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spread = {each["topologyKey"]: each for each in spec["template"]["spec"]["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for each in spread.values():
        assert each["whenUnsatisfiable"] == "ScheduleAnyway", "a cluster of one node must run both"
        assert each["labelSelector"] == spec["selector"]


@pytest.mark.parametrize("replicas", [1, 3])
def test_any_number_of_operators_elects(helm: Helm, replicas: int) -> None:
    """Also a single one, for an upgrade starts the new one before it ends the old."""
    manifests = helm.manifests("--set", f"replicas={replicas}")
    settings = json.loads(of_kind(manifests, "ConfigMap")["data"]["operator.json"])
    (named, _) = of_kind(manifests, "Role")["rules"]
    assert of_kind(manifests, "Deployment")["spec"]["replicas"] == replicas
    assert named["resourceNames"] == [settings["lease"]]


def test_a_drain_takes_one_operator_at_a_time(helm: Helm) -> None:
    manifests = helm.manifests()
    budget = of_kind(manifests, "PodDisruptionBudget")["spec"]
    selector = of_kind(manifests, "Deployment")["spec"]["selector"]
    assert budget == {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}


def test_network_policy_is_about_the_operator_pod(helm: Helm) -> None:
    manifests = helm.manifests()
    policy = of_kind(manifests, "NetworkPolicy")["spec"]
    labels = of_kind(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert labels["app.kubernetes.io/name"] == "fairlead-operator"
    assert policy["ingress"] == []
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6443, 8002}


def test_prometheus_is_asked_anywhere_but_at_the_addresses_that_are_shut_to_models(helm: Helm) -> None:
    policy = of_kind(helm.manifests("--set", "prometheus.url=http://prometheus.monitoring.svc:9090"), "NetworkPolicy")["spec"]
    (towards,) = [rule["to"] for rule in policy["egress"] if any("ipBlock" in peer for peer in rule.get("to", []))]
    assert towards == list(ANYWHERE)


def test_network_policy_can_be_left_out(helm: Helm) -> None:
    assert not [each for each in helm.manifests("--set", "networkPolicy.enabled=false") if each["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize("release", ["fairlead", "models", "a" * 53, "fairlead-" + "b" * 44])
def test_names_hold_the_release_and_fit(helm: Helm, release: str) -> None:
    for manifest in helm.manifests(release=release):
        name = manifest["metadata"]["name"]
        assert len(name) <= 63
        if manifest["kind"] != "CustomResourceDefinition":
            assert name.startswith(release[:31])


def test_two_releases_differ_in_every_name(helm: Helm) -> None:
    one, other = (
        {(each["kind"], each["metadata"]["name"]) for each in helm.manifests(release=release)} for release in ("red", "blue")
    )
    assert one & other == {("CustomResourceDefinition", CRD)}


def test_too_old_a_cluster_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.35"):
        helm.render("--kube-version", "1.34.9")


def test_the_notes_show_a_model_deployment_that_works(helm: Helm) -> None:
    values = str(VALUES / "minimal.yaml")
    said = helm.run("install", "fairlead", str(CHART), "--namespace", "fairlead-system", "--dry-run=client", "--values", values)
    notes = said.partition("\nNOTES:\n")[2]
    assert "kubectl -n fairlead-system rollout status deployment/fairlead-operator" in notes
    document = textwrap.dedent(notes.partition("<<YAML\n")[2].partition("     YAML")[0])
    live = yaml.safe_load(document)
    live["metadata"]["namespace"] = "default"  # kubectl adds it
    made = ModelDeployment.model_validate(live)
    assert made.spec.model.uri == "pvc://models/qwen3-8b"


def test_nothing_names_a_moving_image(helm: Helm) -> None:
    assert not [each for each in strings(helm.manifests()) if each.endswith(":latest")]
