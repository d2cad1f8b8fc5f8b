"""ModelDeployments as the operator left them in each phase of their life, recorded from a real API server, with the verdicts."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Object = dict[str, Any]

FOLDER = Path(__file__).with_name("recorded")
TIME = "2026-01-01T00:00:00Z"

GOOD = ("Current", "Healthy")
WAIT = ("InProgress", "Progressing")
BAD = ("Failed", "Degraded")

#: What kstatus and Argo CD say of each.
PHASES: Mapping[str, tuple[str, str]] = {
    "unseen": WAIT,
    "starting": WAIT,
    "model-downloading": WAIT,
    "model-not-found": BAD,
    "engine-starting": WAIT,
    "ready": GOOD,
    "scaled-to-zero": GOOD,
    "changed-and-unseen": WAIT,
    "rolling-out": WAIT,
    "no-spare-gpu": BAD,
    "unknown-flag": BAD,
    "name-conflict": BAD,
    "image-name-wrong": BAD,
    "image-not-pulled": WAIT,
    "unschedulable": WAIT,
    "quota-exceeded": WAIT,
    "gpu-failed": WAIT,
    "overdue": BAD,
    # Argo CD never asks for the health of what is being deleted: it says Progressing itself.
    "deleting": ("Terminating", "Progressing"),
}


def plain(mdep: Object) -> Object:
    """What a verdict is made of, without what is another in each run: names of pods, namespace, times. And without the spec,
    of which kstatus and the health check read nothing."""
    meta = mdep["metadata"]
    kept = {"name": meta["name"], "namespace": "default", "generation": meta["generation"]}
    if "deletionTimestamp" in meta:
        kept["deletionTimestamp"] = TIME
    status = json.dumps(mdep["status"]).replace(meta["namespace"], "default")
    status = re.sub(rf"\b{meta['name']}-[a-z0-9]{{6,10}}-[a-z0-9]{{5}}\b", f"{meta['name']}-0123456789-abcde", status)
    status = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", TIME, status)
    return {"apiVersion": mdep["apiVersion"], "kind": mdep["kind"], "metadata": kept, "status": json.loads(status)}


def read(phase: str) -> Object:
    """The recorded object."""
    found: Object = json.loads((FOLDER / f"{phase}.json").read_text())
    return found


def write(phase: str, mdep: Object) -> None:
    """Record."""
    (FOLDER / f"{phase}.json").write_text(json.dumps(mdep, indent=2) + "\n")
