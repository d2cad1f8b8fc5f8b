"""What GitOps tools say of an object: the real kstatus, in both of its forms, and the chart's script in Argo CD's interpreter."""

import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import tools
from tests.cluster.layout import cache_root

SCRIPT = Path(__file__).parents[2] / "charts" / "fairlead" / "files" / "argocd-health.lua"


@dataclass(frozen=True)
class Said:
    """One tool's word."""

    status: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What each of them says of one object."""

    kstatus: Said
    """As its authors keep it; kpt has it."""
    flux: Said
    """The form in Flux and in Helm's --wait."""
    argocd: Said

    @property
    def statuses(self) -> tuple[str, str]:
        """Of kstatus, in both forms alike, and of Argo CD."""
        assert self.kstatus == self.flux, f"{self.kstatus} and {self.flux}"
        return self.kstatus.status, self.argocd.status


@functools.cache
def _program() -> Path:
    return tools.ensure(cache_root(), ["verdict"]).path("verdict")


def verdicts(objects: Sequence[Mapping[str, Any]], script: Path = SCRIPT) -> list[Verdict]:
    """Their words on each of the objects, in order.

    Raises:
        AssertionError: the script fails, or returns no table.
    """
    stdin = "\n".join(map(json.dumps, objects))
    done = subprocess.run([_program(), script], input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [Verdict(**{who: Said(**word) for who, word in json.loads(line).items()}) for line in done.stdout.splitlines()]


def verdict(of: Mapping[str, Any], script: Path = SCRIPT) -> Verdict:
    """Their words on one object."""
    (only,) = verdicts([of], script)
    return only
