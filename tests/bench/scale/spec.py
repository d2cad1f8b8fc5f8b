"""The ModelDeployments of the crowd: the shortest spec, as examples/ has it."""

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT
from tests.bench.scale.cluster import CLAIM, REPLICAS
from tests.objects import Object, Objects


def model_deployment(namespace: str, name: str) -> Object:
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.name,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"model": {"uri": f"pvc://{CLAIM}/tiny"}, "replicas": REPLICAS},
    }


def create(objects: Objects, namespace: str, name: str) -> Object:
    return objects.create(MODEL_DEPLOYMENT, namespace, model_deployment(namespace, name))
