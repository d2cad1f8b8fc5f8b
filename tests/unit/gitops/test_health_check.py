"""The health check for Argo CD, as users get it: from the chart, and from the text."""

import re
from pathlib import Path

import pytest

from tests.gitops.verdicts import SCRIPT, verdict
from tests.unit.chart.conftest import helm
from tests.unit.chart.helm import Helm, of_kind

__all__ = ["helm"]

KEY = "resource.customizations.health.serving.fairlead.dev_ModelDeployment"
TEXT = Path(__file__).parents[3] / "docs" / "gitops.md"
READY = {
    "apiVersion": "serving.fairlead.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat", "namespace": "default", "generation": 1},
    "status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "2/2 ready"}],
    },
}


def test_the_chart_ships_it_on_request(helm: Helm, tmp_path: Path) -> None:
    plain = {each["metadata"]["name"] for each in helm.manifests() if each["kind"] == "ConfigMap"}
    assert plain == {"fairlead-operator"}
    shipped = of_kind(helm.manifests("--set", "argocd.healthCheck=true"), "ConfigMap", "fairlead-argocd-health")
    assert shipped["metadata"]["namespace"] == "fairlead-system"
    assert set(shipped["data"]) == {KEY}
    script = tmp_path / "health.lua"
    script.write_text(shipped["data"][KEY])
    assert verdict(READY, script).argocd.status == "Healthy"
    assert script.read_text() == SCRIPT.read_text()


def test_the_text_shows_the_same() -> None:
    """The block is a part of argocd-cm, indented as there."""
    (block,) = re.findall(rf"^  {re.escape(KEY)}: \|\n((?:    .*\n)+)", TEXT.read_text(), re.MULTILINE)
    assert re.sub("^    ", "", block, flags=re.MULTILINE) == SCRIPT.read_text()


@pytest.mark.parametrize("needs", ["io.open('/etc/passwd')", "string.format('x')", "math.floor(1)", "os.execute('true')"])
def test_the_interpreter_of_the_tests_lends_no_more_than_argo_cd(needs: str, tmp_path: Path) -> None:
    """So that a script which needs more fails here and not in somebody's cluster."""
    script = tmp_path / "needs.lua"
    script.write_text(f"local x = {needs}\nreturn {{status = 'Healthy'}}\n")
    with pytest.raises(AssertionError, match="index a non-table"):
        verdict(READY, script)


def test_a_script_that_returns_nothing_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "nothing.lua"
    script.write_text("local x = 1\n")
    with pytest.raises(AssertionError, match="returned nil instead of a table"):
        verdict(READY, script)
