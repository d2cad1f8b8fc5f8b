"""Where the model lies: spec.model.uri as a claim and a path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fairlead.resources import names

_PVC = re.compile(r"pvc://(?P<claim>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?P<path>(?:/[A-Za-z0-9._=+@-]+)*)/?")


@dataclass(frozen=True)
class ModelVolume:
    """A folder on a PersistentVolumeClaim of the ModelDeployment's namespace."""

    claim: str
    path: str
    """Below the root of the claim, without slashes at its ends; empty for the root itself."""

    @property
    def mounted(self) -> str:
        """The folder as the engine sees it."""
        return f"{names.MODEL_PATH}/{self.path}" if self.path else names.MODEL_PATH

    @classmethod
    def parse(cls, uri: str) -> ModelVolume:
        """Read a URI.

        Raises:
            ValueError: it is none that the CRD lets through.
        """
        match = _PVC.fullmatch(uri)
        path = match["path"].strip("/") if match else ""
        if match is None or not {".", ".."}.isdisjoint(path.split("/")):
            raise ValueError(f"spec.model.uri: {uri!r} is not pvc://CLAIM or pvc://CLAIM/PATH")
        return cls(match["claim"], path)
