"""The real Helm, on this checkout's chart."""

import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[3] / "charts" / "fairlead"
VALUES = Path(__file__).parent / "values"

Manifest = dict[str, Any]


class HelmError(AssertionError):
    """Helm refused; the message is what it printed."""


@dataclass(frozen=True)
class Helm:
    """A helm binary with a home of its own, so that no setting of the machine plays a part."""

    binary: Path
    home: Path

    def run(self, *args: str) -> str:
        """Helm's output.

        Raises:
            HelmError: it exited with another status than 0.
        """
        done = _run(self.binary, self.home, args)
        if done.returncode != 0:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout

    def render(self, *args: str, values: str = "minimal.yaml", release: str = "fairlead") -> str:
        """The chart's manifests as text, for namespace fairlead-system."""
        return self.run(
            *("template", release, str(CHART), "--namespace", "fairlead-system", "--kube-version", "1.37.2"),
            *("--values", str(VALUES / values)),
            *args,
        )

    def manifests(self, *args: str, values: str = "minimal.yaml", release: str = "fairlead") -> list[Manifest]:
        rendered = self.render(*args, values=values, release=release)
        # The C parser: for the CRD, PyYAML's own takes 0.2 s.
        return [each for each in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if each]


@functools.cache
def _run(binary: Path, home: Path, args: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """What Helm says to the same arguments once it says always: most tests read the chart as its plain values make it."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "KUBECONFIG": "/dev/null"}
    return subprocess.run([binary, *args], capture_output=True, text=True, env=environment, check=False, timeout=60)


def of_kind(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of its kind, or of its kind and name."""
    (found,) = (each for each in manifests if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def strings(value: object) -> Iterator[str]:
    """Every string in a manifest, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
