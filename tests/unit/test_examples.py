"""Every ModelDeployment that users are shown becomes pods: the operator finds nothing wrong with it."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from fairlead.api.model_deployment import ModelDeployment
from fairlead.resources import build
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.validate import validate
from tests.examples import ROOT, Manifest, documents, layouts, model_deployments

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
    for where, text in {**documents(), **layouts()}.items():
        if where.startswith("examples/"):
            assert text.startswith("# "), where


HF = """#!/bin/sh
# A hub whose download is cut off in the middle, unless it goes on from what is there.
echo "$*" >> "$CALLS"
for each in "$@"; do case "$each" in --local-dir=*) folder=${each#*=} ;; esac; done
mkdir -p "$folder"
[ -e "$folder/config.json" ] || { echo '{}' > "$folder/config.json"; exit 1; }
echo weights > "$folder/model.safetensors"
"""


def test_a_model_has_its_folder_only_when_it_is_whole(tmp_path: Path) -> None:
    program, models, calls = tmp_path / "bin" / "hf", tmp_path / "models", tmp_path / "calls"
    program.parent.mkdir()
    models.mkdir()
    program.write_text(HF)
    program.chmod(0o755)
    job = next(each for each in yaml.safe_load_all((ROOT / "examples/load-model.yaml").read_text()) if each["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = [word.replace("/models/", f"{models}/") for word in container["command"]]
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "CALLS": str(calls)}

    def run() -> tuple[int, list[str]]:
        done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60)
        return done.returncode, sorted(str(file.relative_to(models)) for file in models.rglob("*.*") if file.is_file())

    assert run() == (1, ["qwen3-8b.part/config.json"])
    whole = ["qwen3-8b/config.json", "qwen3-8b/model.safetensors"]
    assert run() == (0, whole)
    assert run() == (0, whole)
    assert len(calls.read_text().splitlines()) == 2, "what is there is not downloaded again"
