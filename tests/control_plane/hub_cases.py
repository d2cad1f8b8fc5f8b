"""Models of a hub in spec.model, as users write them, well and badly: rows of test_crd_admission.py."""

from typing import Any

Object = dict[str, Any]


def hub(uri: str = "hf://Qwen/Qwen3-8B", **model: Any) -> Object:
    return {"model": {"uri": uri, **model}}


def claim(**model: Any) -> Object:
    return {"model": {"uri": "pvc://models/tiny", **model}}


ACCEPTED: dict[str, Object] = {
    "a model of a hub": hub(),
    "a model with every sign in its name": hub("hf://a-b/c.d_e-F1"),
    "the longest names": hub(f"hf://{'a' * 96}/{'b' * 96}"),
    "a commit": hub(revision="b968826d9c46dd6066d109eabc6255188de91218"),
    "a branch with slashes": hub(revision="refs/pr/12"),
    "a token": hub(secretRef={"name": "hub.token", "key": "HF_TOKEN"}),
    "a small volume of a class": hub(cache={"size": "1Mi", "storageClassName": "fast-ssd"}),
    "a size as a number": hub(cache={"size": 50_000_000_000}),
    "a mirror": hub(endpoint="https://mirror.example.com:8443/api/huggingface-remote/"),
    "a hub in the cluster": hub(endpoint="http://10.96.0.7:8080"),
}

# What the user writes, the path that the answer gives, and a piece of the answer that says what to write instead.
REFUSED: dict[str, tuple[Object, str, str]] = {
    "no organisation": (hub("hf://qwen3"), "spec.model.uri", "such as hf://Qwen/Qwen3-8B"),
    "a revision in the uri": (hub("hf://org/model@main"), "spec.model.uri", "belongs into spec.model.revision"),
    "a file in the uri": (hub("hf://org/model/config.json"), "spec.model.uri", "write hf://ORG/NAME"),
    "two dots": (hub("hf://org/a..b"), "spec.model.uri", "write hf://ORG/NAME"),
    "two dashes": (hub("hf://o--rg/a"), "spec.model.uri", "write hf://ORG/NAME"),
    "a name with a space": (hub("hf://org/a b"), "spec.model.uri", "write hf://ORG/NAME"),
    "a revision of a claim": (claim(revision="main"), "spec.model.revision", "(spec.model.uri: hf://ORG/NAME)"),
    "a token for a claim": (claim(secretRef={"name": "hub"}), "spec.model.secretRef", "(spec.model.uri: hf://ORG/NAME)"),
    "a cache for a claim": (claim(cache={}), "spec.model.cache", "What lies on a claim is read from there"),
    "a hub for a claim": (claim(endpoint="https://a"), "spec.model.endpoint", "(spec.model.uri: hf://ORG/NAME)"),
    "a revision that is a way out": (hub(revision="../main"), "spec.model.revision", "such as main or b968"),
    "a revision with a query": (hub(revision="main?x=1"), "spec.model.revision", "a branch, a tag or a commit"),
    "a token by itself": (hub(secretRef="abc"), "spec.model.secretRef", "must be of type object"),
    "a Secret of another namespace": (hub(secretRef={"name": "other/hub"}), "spec.model.secretRef.name", "of this namespace"),
    "a key with a slash": (hub(secretRef={"name": "hub", "key": "../x"}), "spec.model.secretRef.key", "such as token"),
    "no volume at all": (hub(cache={"size": 0}), "spec.model.cache.size", "such as 40Gi"),
    "a size without a unit that is one": (hub(cache={"size": "40 GB"}), "spec.model.cache.size", "such as 40Gi"),
    "a class with a capital": (hub(cache={"storageClassName": "Fast"}), "spec.model.cache.storageClassName", "such as fast-ssd"),
    "an endpoint of another kind": (hub(endpoint="ftp://hub"), "spec.model.endpoint", "such as https://hub.example.com"),
    "an endpoint with a password": (hub(endpoint="https://u:p@hub"), "spec.model.endpoint", "write http:// or https://"),
    "an endpoint with a query": (hub(endpoint="https://hub?a=b"), "spec.model.endpoint", "write http:// or https://"),
}
