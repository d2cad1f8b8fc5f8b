"""Who the operator is."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.aio.config import incluster_config

from fairlead.controller import login


def kubeconfig(folder: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, str]) -> None:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(content))
    monkeypatch.setenv("KUBECONFIG", str(path))


async def test_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig(tmp_path, monkeypatch, {"token": "secret"})
    info = await login.connection(await login.configuration())
    assert (info.server, info.token) == ("https://127.0.0.1:1", "secret")
    assert info.expiration is not None


async def test_a_kubeconfig_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig(tmp_path, monkeypatch, {})
    info = await login.connection(await login.configuration())
    assert (info.token, info.expiration) == (None, None)


async def test_a_rotated_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("token", "first"), ("ca", "x")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    # The library reads the file again after a minute; here at once.
    monkeypatch.setattr(
        incluster_config, "datetime", SimpleNamespace(datetime=datetime, timedelta=lambda **_: timedelta(seconds=-1))
    )
    used = await login.configuration()
    assert (await login.connection(used)).token == "first"  # noqa: S105
    (tmp_path / "token").write_text("second")
    assert (await login.connection(used)).token == "second"  # noqa: S105


async def test_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(login.LoginError, match="set KUBECONFIG"):
        await login.configuration()
