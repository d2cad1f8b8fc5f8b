"""The last release as an upgrade finds it: its chart as it was rendered, its ModelDeployments and what its operator made of them.

`make release-fixture` writes it from the present tree, as the last step of a release (docs/development.md). It is committed,
since the tests have neither the history nor the images of an older version.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from fairlead.api.model_deployment import ModelDeployment
from fairlead.controller.settings import Settings
from fairlead.resources import build
from fairlead.resources.manifest import sealed
from tests.cluster import tools
from tests.cluster.layout import cache_root
from tests.examples import ROOT
from tests.objects import Object
from tests.unit.chart.helm import CHART, Helm, of_kind

FOLDER = Path(__file__).with_name("upgrade")
VERSION, RENDERED, MODELS, CHILDREN = (FOLDER / name for name in ("version", "chart.yaml", "models.yaml", "children.json"))
EXAMPLES = ("chat-8b", "engine-args", "hf", "jwt")
"""Which between them have every part that a pod may have; each is about 50 KB."""
NAMESPACE = "models"
UID = "00000000-0000-0000-0000-000000000000"
"""Of every ModelDeployment in the recording: the API server gives another one."""


def models() -> list[Object]:
    """The examples' ModelDeployments, in one namespace."""
    texts = [(ROOT / "examples" / f"{file}.yaml").read_text() for file in EXAMPLES]
    found = [each for text in texts for each in yaml.safe_load_all(text) if each["kind"] == "ModelDeployment"]
    return [{**each, "metadata": {**each["metadata"], "namespace": NAMESPACE}} for each in found]


def record(helm: Helm) -> None:
    """Write the recording."""
    FOLDER.mkdir(exist_ok=True)
    rendered = helm.render()
    documents = [each for each in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if each]
    settings = of_kind(documents, "ConfigMap", "fairlead-operator")["data"]["operator.json"]
    context = Settings.model_validate_json(settings).context
    made: dict[str, list[Object]] = {}
    for model in models():
        live = {**model, "metadata": {**model["metadata"], "uid": UID, "generation": 1}}
        made[model["metadata"]["name"]] = build(ModelDeployment.model_validate(live), context)
    VERSION.write_text(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"] + "\n")
    RENDERED.write_text(rendered)
    MODELS.write_text(yaml.safe_dump_all(models(), sort_keys=False))
    CHILDREN.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


def chart(at: Path) -> Path:
    """The released chart as a chart again, for Helm to install: one template that is what it was rendered to."""
    (at / "templates").mkdir(parents=True)
    (at / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "fairlead", "version": VERSION.read_text().strip()})
    )
    (at / "rendered.yaml").write_text(RENDERED.read_text())
    (at / "templates" / "all.yaml").write_text('{{ .Files.Get "rendered.yaml" }}\n')
    return at


def children(name: str, uid: str) -> list[Object]:
    """What the released operator applied for the ModelDeployment of that uid."""
    found = []
    recorded: list[dict[str, Any]] = json.loads(CHILDREN.read_text())[name]
    for child in recorded:
        made: Object = json.loads(json.dumps(child).replace(UID, uid))
        # The hash is of the rest, and so of the uid.
        del made["metadata"]["annotations"]
        found.append(sealed(made))
    return found


def main() -> None:
    """Record the present tree as the last release."""
    home = cache_root() / "helm-home"
    home.mkdir(parents=True, exist_ok=True)
    record(Helm(tools.ensure(cache_root(), ["helm"]).path("helm"), home))


if __name__ == "__main__":
    main()
