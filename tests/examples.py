"""The YAML that users copy: the files in examples/, and the ModelDeployments in the texts of README.md and docs/."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

Manifest = dict[str, Any]


def files() -> list[Path]:
    return sorted((ROOT / "examples").glob("*.yaml"))


def documents() -> dict[str, str]:
    """YAML text by where it stands: each example, and each block of a text that holds a ModelDeployment."""
    found = {str(file.relative_to(ROOT)): file.read_text() for file in files()}
    for text in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"^```yaml\n(.*?)^```$", text.read_text(), re.MULTILINE | re.DOTALL)
        whole = [block for block in blocks if "kind: ModelDeployment" in block and "apiVersion: serving.fairlead.dev" in block]
        found |= {f"{text.relative_to(ROOT)}#{number}": block for number, block in enumerate(whole, start=1)}
    return found


def layouts() -> dict[str, str]:
    """YAML text by file, of the example repositories for GitOps tools: among it kinds that an API server has from those alone."""
    found = sorted((ROOT / "examples" / "gitops").rglob("*.yaml"))
    return {str(file.relative_to(ROOT)): file.read_text() for file in found}


def model_deployments() -> dict[str, Manifest]:
    """Every ModelDeployment among them, as the API server would hand it to the operator."""
    found = {}
    for where, text in {**documents(), **layouts()}.items():
        for manifest in yaml.safe_load_all(text):
            if manifest["kind"] == "ModelDeployment":
                manifest["metadata"]["namespace"] = "default"
                found[f"{where}: {manifest['metadata']['name']}"] = manifest
    return found
