import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fairlead.api import crd, generated
from fairlead.api.engine_env import FORCED_ENV, REFUSED_ENV
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS
from fairlead.api.engine_values import FLAG_VALUES
from fairlead.api.markers import ALLOWABLE, VALIDATIONS
from fairlead.api.model_deployment import ModelDeployment
from fairlead.api.schema import structural

Schema = dict[str, Any]


def walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", child)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from walk(path + mark, schema[key])


ROOT = crd.root_schema()
NODES = dict(walk("", ROOT))
FIELDS = [(path, node) for path, node in NODES.items() if re.search(r"\.[a-zA-Z]+$", path) and not path.startswith(".metadata")]


@pytest.mark.parametrize(("path", "node"), FIELDS, ids=[path for path, _ in FIELDS])
def test_every_field_is_described(path: str, node: Schema) -> None:
    description = node.get("description", "")
    assert re.fullmatch(r"[A-Z-].*[.]", description), f"{path}: a description is a sentence, or several"


@pytest.mark.parametrize(("path", "node"), NODES.items(), ids=NODES.keys())
def test_structural(path: str, node: Schema) -> None:
    assert not {"$ref", "$defs", "anyOf", "allOf", "oneOf", "title", "const", "nullable"} & set(node)
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
    else:
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
    if node["type" if "type" in node else "x-kubernetes-int-or-string"] == "array":
        assert node["x-kubernetes-list-type"] in {"map", "atomic"}, path
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


SPEC = [(path, node) for path, node in NODES.items() if path.startswith(".spec")]


@pytest.mark.parametrize(("path", "node"), SPEC, ids=[path for path, _ in SPEC])
def test_everything_in_the_spec_is_bounded(path: str, node: Schema) -> None:
    """The API server estimates what a rule costs from the bounds, and refuses a CRD of which it cannot tell."""
    kind = node.get("type")
    if kind == "integer":
        assert {"minimum", "maximum"} <= set(node), path
    if kind == "string":
        assert "enum" in node or "maxLength" in node, path
    if kind == "array":
        assert "maxItems" in node, path
    if "additionalProperties" in node:
        assert "maxProperties" in node, path


def rules(schema: Schema) -> list[dict[str, str]]:
    return [rule for _, node in walk("", schema) for rule in node.get(VALIDATIONS, ())]


def test_every_rule_says_something() -> None:
    assert len(rules(ROOT)) > 80
    for rule in rules(ROOT):
        assert rule["message"]
        # The API server refuses a line break, and cuts nothing off but refuses more than 2048 characters.
        assert "\n" not in rule["message"]
        assert len(rule["message"]) < 300


def test_no_pattern_stands_without_a_message() -> None:
    assert not [path for path, node in NODES.items() if "pattern" in node]


MEANT = {".spec.autoscaling", ".spec.autoscaling.prometheus"}
"""Objects that say something by being there."""


def test_an_object_whose_parts_have_defaults_has_one_itself() -> None:
    """Or the defaults of the parts would not be filled in where the user leaves the object out."""
    for path, node in SPEC:
        required = {f"{path}.{name}" for name in node.get("required", ())}
        for name, child in node.get("properties", {}).items():
            if f"{path}.{name}" in required or "properties" not in child:
                continue
            inner = [each for each in walk("", child) if each[0] and "[]" not in each[0] and "default" in each[1]]
            filled_in = bool(inner) and f"{path}.{name}" not in MEANT
            assert child.get("default") == ({} if filled_in else None), f"{path}.{name}"


def test_the_status_begins_unseen() -> None:
    assert NODES[".status"]["default"] == {}
    assert NODES[".status.observedGeneration"]["default"] == -1


def test_flags_are_either_owned_or_refused() -> None:
    assert not set(OWNED_FLAGS) & set(REFUSED_FLAGS)
    refused = {rule[ALLOWABLE] for rule in rules(ROOT) if ALLOWABLE in rule}
    assert refused == set(REFUSED_FLAGS) | set(FLAG_VALUES)


def test_what_is_forced_is_refused() -> None:
    assert set(FORCED_ENV) <= set(REFUSED_ENV)


def parsed(text: str) -> Any:
    """By the C parser: PyYAML's own takes 0.2 s for the CRD."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def test_the_text_for_kubectl_is_the_definition() -> None:
    read = parsed(crd.plain())
    assert read["metadata"]["name"] == "modeldeployments.serving.fairlead.dev"
    assert ALLOWABLE not in crd.plain()
    version = read["spec"]["versions"][0]
    assert version["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"
    assert version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].keys() == NODES[".spec"]["properties"].keys()


def test_the_chart_guards_each_refused_flag_and_nothing_else() -> None:
    """Without the guards it is the text for kubectl; each guard encloses the one rule about its flag."""
    text = crd.chart()
    guards = re.findall(
        r'^ *\{\{- if not \(has "([a-z-]+)" \.Values\.engine\.allowedFlags\) \}\}\n(.*?)^ *\{\{- end \}\}\n',
        text,
        re.MULTILINE | re.DOTALL,
    )
    assert [flag for flag, _ in guards] == sorted(REFUSED_FLAGS) + sorted(FLAG_VALUES)
    for flag, guarded in guards:
        (rule,) = yaml.safe_load(guarded)
        assert re.match(rf"--{flag} is refused( with this value)?: ", rule["message"])
    assert parsed(re.sub(r"^ *\{\{-.*\n", "", text, flags=re.MULTILINE)) == parsed(crd.plain())


def test_braces_would_be_helm_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelDeployment, "__doc__", "A {{ template }}.")
    with pytest.raises(ValueError, match="Helm"):
        crd.chart()


def test_the_order_is_the_models() -> None:
    assert list(NODES[".spec"]["properties"])[:3] == ["model", "engine", "accelerator"]
    assert crd.plain() == crd.plain()
    assert list(structural(ModelDeployment)["properties"]) == ["apiVersion", "kind", "metadata", "spec", "status"]


def test_committed_copies_are_up_to_date() -> None:
    assert generated.stale(crd.files()) == []
