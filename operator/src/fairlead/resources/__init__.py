"""Pure builders from a ModelDeployment to the manifests of its children."""
