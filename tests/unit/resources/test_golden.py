"""The manifests of a table of ModelDeployments, as files: a change of any of them is to be read and meant."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fairlead.resources import build, names, validate
from tests.unit.resources.cases import CASES, PUBLIC_KEY
from tests.unit.sidecar.proxy import ENVOY

if TYPE_CHECKING:
    from fairlead.resources.manifest import Manifest

GOLDEN = Path(__file__).parent / "golden"
COMPLETE = "minimal"
"""Of this one the file holds the whole bootstrap; of the others only where theirs is different."""


class Dumper(yaml.SafeDumper):
    """Texts of several lines as such."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, _text)


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {path: leaf for key, inner in value.items() for path, leaf in leaves(inner, f"{at}.{key}").items()}
    if isinstance(value, list):
        # By name where they have one: an item more does not move the others.
        places = [inner["name"] if isinstance(inner, dict) and "name" in inner else index for index, inner in enumerate(value)]
        return {
            path: leaf
            for place, inner in zip(places, value, strict=True)
            for path, leaf in leaves(inner, f"{at}[{place}]").items()
        }
    return {at: value}


def bootstrap_of(manifests: list[Manifest]) -> str:
    return next(str(each["data"]["envoy.json"]) for each in manifests if each["kind"] == "ConfigMap")


def shown(name: str) -> str:
    manifests = build(*CASES[name])
    if name != COMPLETE:
        reference = leaves(json.loads(bootstrap_of(build(*CASES[COMPLETE]))))
        own = leaves(json.loads(bootstrap_of(manifests)))
        different = {path: own.get(path) for path in reference.keys() | own.keys() if own.get(path) != reference.get(path)}
        config = next(each for each in manifests if each["kind"] == "ConfigMap")
        config["data"]["envoy.json"] = {f"as in {COMPLETE}.yaml, but": different}
    return yaml.dump_all(manifests, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=130)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    file = GOLDEN / f"{name}.yaml"
    rendered = shown(name)
    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(rendered, "utf-8")
    assert rendered == file.read_text("utf-8"), "make golden rewrites the file; read the diff"


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_cases_are_valid(name: str) -> None:
    assert validate(*CASES[name]) == []


@pytest.mark.parametrize("name", CASES)
def test_envoy_takes_the_bootstrap(name: str, tmp_path: Path) -> None:
    if CASES[name][1].ipv6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6, and Envoy no address of it")
    path = tmp_path / "envoy.json"
    tmp_path.joinpath(names.KEYS_FILE).write_text(PUBLIC_KEY, "utf-8")
    path.write_text(bootstrap_of(build(*CASES[name])).replace(names.KEYS_PATH, str(tmp_path)), "utf-8")
    command = [
        str(ENVOY),
        "--mode",
        "validate",
        "--config-path",
        str(path),
        "--log-level",
        "warning",
        "--reject-unknown-dynamic-fields",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert said.returncode == 0, said.stderr
    told = [json.loads(line)["message"] for line in said.stderr.splitlines()]
    # Nothing runs that could answer.
    others = [each for each in told if not each.endswith("[cluster = keys] is not configured") and "async fetching" not in each]
    assert others == [], "no field that Envoy will drop soon, no limit that it misses"
