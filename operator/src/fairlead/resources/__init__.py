"""Pure builders from a ModelDeployment to the manifests of its children."""

from fairlead.resources.build import build
from fairlead.resources.validate import validate

__all__ = ["build", "validate"]
