"""The settings file: what the chart writes is taken, a mistake is told in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairlead.controller.settings import POD_IPS, Settings, SettingsError, pods_have_ipv6
from fairlead.resources.context import BuildContext, Images

LEAST: dict[str, Any] = {"images": {"sidecar": "envoy:1"}, "operatorNamespace": "fairlead-system"}


def load(folder: Path, content: str) -> Settings:
    path = folder / "operator.json"
    path.write_text(content)
    return Settings.load(path)


def test_the_least_and_its_defaults(tmp_path: Path) -> None:
    found = load(tmp_path, json.dumps(LEAST))
    assert (found.workers, found.resync_seconds, found.log_level, found.listen_port, found.namespaces) == (
        4,
        300,
        "info",
        8080,
        [],
    )


def test_the_part_for_builders(tmp_path: Path) -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]
    whole = {
        "images": {"sidecar": "envoy:1", "engines": {"vllm": {"0.32.0": "vllm:1"}}},
        "allowedEngineFlags": ["a"],
        "modelHub": {"endpoint": "https://hub.example.com"},
        "scrapeFrom": peers,
        "operatorNamespace": "fairlead-system",
        "workers": 8,
        "resyncSeconds": 60,
        "logLevel": "debug",
        "listenPort": 9000,
        "namespaces": ["a"],
    }
    assert load(tmp_path, json.dumps(whole)).context == BuildContext(
        images=Images(sidecar="envoy:1", engines={"vllm": {"0.32.0": "vllm:1"}}),
        operator_namespace="fairlead-system",
        allowed_engine_flags=frozenset({"a"}),
        model_hub_endpoint="https://hub.example.com",
        scrape_from=tuple(peers),
    )


def test_where_prometheus_is(tmp_path: Path) -> None:
    assert load(tmp_path, json.dumps(LEAST)).prometheus is None
    assert load(tmp_path, json.dumps({**LEAST, "prometheus": None})).prometheus is None
    found = load(tmp_path, json.dumps({**LEAST, "prometheus": {"url": "http://prometheus:9090"}})).prometheus
    assert found is not None
    assert (found.url, found.namespace_label, found.pod_label) == ("http://prometheus:9090", "namespace", "pod")
    with pytest.raises(SettingsError, match=r"prometheus\.url"):
        load(tmp_path, json.dumps({**LEAST, "prometheus": {"url": "file:///etc/passwd"}}))


@pytest.mark.parametrize(
    ("ips", "has"),
    [(None, False), ("", False), ("10.0.0.1", False), ("fd00::1", True), ("10.0.0.1,fd00::1", True), ("fd00::1,10.0.0.1", True)],
)
def test_the_operators_own_addresses_tell_of_ipv6(ips: str | None, has: bool) -> None:  # noqa: FBT001
    assert pods_have_ipv6({} if ips is None else {POD_IPS: ips}) is has


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: Input should be"),
        (json.dumps({**LEAST, "images": {}}), "images.sidecar: Field required"),
        (
            json.dumps({**LEAST, "images": {"sidecar": "e", "engines": {"vllm": {"0.32.0": ""}}}}),
            "images.engines.vllm.0.32.0: String should have",
        ),
        (json.dumps({**LEAST, "workers": "4"}), "workers: Input should be a valid integer"),
        (json.dumps({**LEAST, "workers": 0}), "workers: Input should be greater than or equal to 1"),
        (json.dumps({**LEAST, "resyncSeconds": 1}), "resyncSeconds: Input should be greater than or equal to 10"),
        (json.dumps({**LEAST, "logLevel": "loud"}), "logLevel: Input should be 'debug', 'info', 'warning' or 'error'"),
        (json.dumps({**LEAST, "listen_port": 80}), "listen_port: Extra inputs are not permitted"),
    ],
)
def test_mistakes(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, content)
    told = str(caught.value)
    assert told.startswith(f"the settings {tmp_path / 'operator.json'} are not valid: {words}")
    assert "\n" not in told


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the settings .*: No such file or directory"):
        Settings.load(tmp_path / "none")
