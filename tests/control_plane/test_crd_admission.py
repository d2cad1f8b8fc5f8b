"""What a real API server makes of the CRD: it takes it, fills in defaults, and refuses nonsense in words that help."""

import copy
import json
from typing import Any

import pytest
import yaml

from fairlead.api.engine_env import REFUSED_ENV
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT
from tests.control_plane import access_cases, autoscaling_cases, hub_cases
from tests.control_plane.conftest import CRD, Api
from tests.objects import Objects, Refused

Object = dict[str, Any]


def model_deployment(spec: Object | None = None, name: str = "chat-8b") -> Object:
    """The smallest one, with `spec` laid over it, object by object."""
    return {
        "apiVersion": "serving.fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": merged({"model": {"uri": "pvc://models/qwen3-8b"}}, spec or {}),
    }


def merged(base: Object, patch: Object) -> Object:
    result = copy.deepcopy(base)
    for key, value in patch.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def dry_run(api: Api, body: Object) -> tuple[int, str]:
    """As kubectl create --dry-run=server asks, without the 0.5 s of CPU that a kubectl takes: there are hundreds of cases."""
    objects = Objects(api.plane.api)
    try:
        made = objects.request("POST", f"{MODEL_DEPLOYMENT.path('default')}?dryRun=All&fieldValidation=Strict", body)
    except Refused as refused:
        return 1, str(refused)
    finally:
        objects.close()
    return 0, json.dumps(made)


def accepted(api: Api, body: Object) -> Object:
    code, text = dry_run(api, body)
    assert code == 0, text
    read: Object = json.loads(text)
    return read


ACCEPTED: dict[str, Object] = {
    "nothing but a model": {},
    "the root of a claim": {"model": {"uri": "pvc://models"}},
    "a claim whose name has dots": {"model": {"uri": "pvc://models.2026/a/b-1.0"}},
    "a name with an organisation": {"model": {"servedName": "org/model:v1"}},
    "args as numbers, words and parts of JSON": {
        "engine": {
            "args": {
                "max-num-batched-tokens": 8192,
                "enforce-eager": "true",
                "kv-cache-memory-bytes": "8M",
                "compilation-config.pass_config.fuse_norm_quant": "true",
                "default-chat-template-kwargs": '{"enable_thinking": false}',
            }
        }
    },
    "64 args": {"engine": {"args": {f"flag-{number}": number for number in range(64)}}},
    "a compile cache": {"engine": {"compileCache": {"claimName": "compiled.2026"}}},
    "env from a secret": {
        "engine": {
            "env": [{"name": "NCCL_DEBUG", "value": ""}, {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
        }
    },
    "every number at its lower end": {
        "replicas": 0,
        "warmup": {"enabled": False, "requests": 1, "promptTokens": 1, "maxTokens": 1},
        "health": {"stallSeconds": 15, "startupTimeoutSeconds": 60, "gpuMemoryFloor": 0},
        "rollout": {"maxSurge": 0, "maxUnavailable": 1, "maxStreamSeconds": 30},
        "engine": {"maxModelLen": 2, "maxNumSeqs": 1, "gpuMemoryUtilizationPercent": 10},
    },
    "every number at its upper end": {
        "replicas": 1000,
        "warmup": {"requests": 256, "promptTokens": 8192, "maxTokens": 1024},
        "health": {"stallSeconds": 3600, "startupTimeoutSeconds": 7200, "gpuMemoryFloor": "1Ti"},
        "rollout": {"maxSurge": 100, "maxUnavailable": 100, "maxStreamSeconds": 86400},
        "engine": {"maxModelLen": 100_000_000, "maxNumSeqs": 65_536, "gpuMemoryUtilizationPercent": 98},
    },
    "quantities in every form": {
        "health": {"gpuMemoryFloor": 134217728},
        "pod": {"resources": {"requests": {"cpu": "1500m", "memory": "16Gi"}, "limits": {"cpu": 2, "memory": "1e11"}}},
    },
    "labels and annotations of one's own": {
        "pod": {"labels": {"team": "a", "example.com/cost": ""}, "annotations": {"example.com/Owner": "a b c"}},
    },
    **access_cases.ACCEPTED,
    **hub_cases.ACCEPTED,
    **autoscaling_cases.ACCEPTED,
    "affinity as it is": {"pod": {"affinity": {"nodeAffinity": {"anything": [1, {"deep": True}]}}}},
    "a spread of one's own": {
        "pod": {
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]},
                }
            ]
        }
    },
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_and_nothing_of_it_lost(api: Api, spec: Object) -> None:
    body = model_deployment(spec)
    taken = accepted(api, body)["spec"]
    assert merged(taken, body["spec"]) == taken


# What the user writes, the path that the answer gives, and a piece of the answer that says what to write instead.
REFUSED: dict[str, tuple[Object, str, str]] = {
    "another kind of place": ({"model": {"uri": "s3://bucket/model"}}, "spec.model.uri", "write pvc://CLAIM or pvc://CLAIM/PATH"),
    "no claim": ({"model": {"uri": "pvc://"}}, "spec.model.uri", "write pvc://CLAIM or pvc://CLAIM/PATH"),
    "a way out of the claim": ({"model": {"uri": "pvc://models/../x"}}, "spec.model.uri", "without . and .."),
    "a space in the path": ({"model": {"uri": "pvc://models/a b"}}, "spec.model.uri", "pvc://models/org/qwen3-8b"),
    "an empty folder": ({"model": {"uri": "pvc://models//x"}}, "spec.model.uri", "one / between them"),
    "a served name with a space": ({"model": {"servedName": "a b"}}, "spec.model.servedName", "such as qwen3-8b"),
    "an unknown engine": ({"engine": {"name": "tgi"}}, "spec.engine.name", 'supported values: "vllm"'),
    "half a version": ({"engine": {"version": "0.32"}}, "spec.engine.version", "such as 0.32.0"),
    "an image with a space": ({"engine": {"image": "a b"}}, "spec.engine.image", "registry.example.com/fairlead/vllm:0.32.0"),
    "an unknown dtype": ({"engine": {"dtype": "int4"}}, "spec.engine.dtype", '"bfloat16"'),
    "a quantization in capitals": ({"engine": {"quantization": "FP8"}}, "spec.engine.quantization", "such as fp8"),
    "a KV cache dtype with a space": ({"engine": {"kvCacheDtype": "f p"}}, "spec.engine.kvCacheDtype", "such as auto or fp8"),
    "a compile cache without a claim": ({"engine": {"compileCache": {}}}, "spec.engine.compileCache.claimName", "Required value"),
    "a compile cache of another namespace": (
        {"engine": {"compileCache": {"claimName": "other/compiled"}}},
        "spec.engine.compileCache.claimName",
        "of this namespace, such as compile-cache",
    ),
    "too much GPU memory": ({"engine": {"gpuMemoryUtilizationPercent": 99}}, "spec.engine.gpuMemoryUtilizationPercent", "98"),
    "a flag with dashes": (
        {"engine": {"args": {"--max-num-batched-tokens": 1}}},
        "spec.engine.args",
        "max-num-batched-tokens for --max-num-batched-tokens",
    ),
    "a flag with underscores": (
        {"engine": {"args": {"enforce_eager": ""}}},
        "spec.engine.args",
        "enforce-eager for enforce_eager",
    ),
    "a flag in capitals": ({"engine": {"args": {"Seed": 1}}}, "spec.engine.args", "seed for Seed"),
    "a refused flag with underscores": (
        {"engine": {"args": {"trust_remote_code": "true"}}},
        "spec.engine.args",
        "trust-remote-code for trust_remote_code",
    ),
    "a switch switched off by its name": (
        {"engine": {"args": {"no-enable-prefix-caching": ""}}},
        "spec.engine.args",
        'enable-prefix-caching: "false" for no-enable-prefix-caching',
    ),
    "a refused JSON flag by its parts": (
        {"engine": {"args": {"profiler-config.profiler": "torch"}}},
        "spec.engine.args",
        "--profiler-config is refused",
    ),
    "65 args": ({"engine": {"args": {f"flag-{number}": 1 for number in range(65)}}}, "spec.engine.args", "64"),
    "a value of 9000 characters": ({"engine": {"args": {"chat-template": "x" * 9000}}}, "spec.engine.args.chat-template", "8192"),
    "an arg that is no string": (
        {"engine": {"args": {"enforce-eager": True}}},
        "spec.engine.args.enforce-eager",
        "integer,string",
    ),
    "env with a dash": ({"engine": {"env": [{"name": "A-B", "value": "1"}]}}, "spec.engine.env[0]", "such as NCCL_DEBUG"),
    "env without a value": ({"engine": {"env": [{"name": "A"}]}}, "spec.engine.env[0]", "exactly one of value and valueFrom"),
    "env with two values": (
        {"engine": {"env": [{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}},
        "spec.engine.env[0]",
        "exactly one of value and valueFrom",
    ),
    "env from two places": (
        {
            "engine": {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "s", "key": "k"}},
                    }
                ]
            }
        },
        "spec.engine.env[0].valueFrom",
        "exactly one of secretKeyRef and configMapKeyRef",
    ),
    "one variable twice": (
        {"engine": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
        "spec.engine.env[1]",
        "Duplicate value",
    ),
    "a resource without a domain": ({"accelerator": {"resourceName": "gpu"}}, "spec.accelerator.resourceName", "nvidia.com/gpu"),
    "a node selector that no node can meet": (
        {"accelerator": {"nodeSelector": {"a b": "c"}}},
        "spec.accelerator.nodeSelector",
        "example.com/team",
    ),
    "a node selector's value that no label has": (
        {"accelerator": {"nodeSelector": {"zone": "a b"}}},
        "spec.accelerator.nodeSelector",
        "at most 63 letters",
    ),
    "too many replicas": ({"replicas": 1001}, "spec.replicas", "1000"),
    "fewer than no replicas": ({"replicas": -1}, "spec.replicas", "0"),
    "a warm-up longer than the context": (
        {"engine": {"maxModelLen": 79}},
        "spec.warmup",
        "must fit into spec.engine.maxModelLen; lower them or raise",
    ),
    "a floor that is no quantity": ({"health": {"gpuMemoryFloor": "a lot"}}, "spec.health.gpuMemoryFloor", "such as 128Mi"),
    "a floor below zero": ({"health": {"gpuMemoryFloor": -1}}, "spec.health.gpuMemoryFloor", "from 0 to 1Ti"),
    "a floor above all GPUs": ({"health": {"gpuMemoryFloor": "2Ti"}}, "spec.health.gpuMemoryFloor", "from 0 to 1Ti"),
    "a rollout that cannot move": (
        {"rollout": {"maxSurge": 0, "maxUnavailable": 0}},
        "spec.rollout",
        "write maxSurge: 1, or maxUnavailable: 1",
    ),
    "a rollout that cannot move, by default": ({"rollout": {"maxSurge": 0}}, "spec.rollout", "write maxSurge: 1"),
    "a label of ours": ({"pod": {"labels": {"serving.fairlead.dev/x": "y"}}}, "spec.pod.labels", "example.com/team"),
    "the label of who manages it": (
        {"pod": {"labels": {"app.kubernetes.io/managed-by": "me"}}},
        "spec.pod.labels",
        "use a key of your own",
    ),
    "a label's key with a space": ({"pod": {"labels": {"a b": "c"}}}, "spec.pod.labels", "a name such as team"),
    "a label's value with a space": ({"pod": {"labels": {"a": "b c"}}}, "spec.pod.labels", "at most 63 letters"),
    "an annotation of ours": (
        {"pod": {"annotations": {"serving.fairlead.dev/config-hash": "0"}}},
        "spec.pod.annotations",
        "use a key of your own",
    ),
    "an annotation's key with a space": ({"pod": {"annotations": {"a b": "c"}}}, "spec.pod.annotations", "a name such as team"),
    "a GPU among the resources": (
        {"pod": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
        "spec.pod.resources",
        "asked for by spec.accelerator",
    ),
    "a GPU of another name among the resources": (
        {"accelerator": {"resourceName": "example.com/gpu"}, "pod": {"resources": {"requests": {"example.com/gpu": 1}}}},
        "spec.pod.resources",
        "asked for by spec.accelerator",
    ),
    "a request that is no quantity": ({"pod": {"resources": {"requests": {"cpu": "x"}}}}, "spec.pod.resources.requests", "500m"),
    "a limit that is no quantity": ({"pod": {"resources": {"limits": {"cpu": "-1"}}}}, "spec.pod.resources.limits", "500m"),
    "a limit below the default request": (
        {"pod": {"resources": {"limits": {"memory": "2Gi"}}}},
        "spec.pod.resources",
        "raise the limit or write a lower request",
    ),
    **access_cases.REFUSED,
    **hub_cases.REFUSED,
    **autoscaling_cases.REFUSED,
    "a spread over nothing": (
        {"pod": {"topologySpreadConstraints": [{}]}},
        "spec.pod.topologySpreadConstraints[0].topologyKey",
        "Required",
    ),
    **{
        f"refused flag {flag}": (
            {"engine": {"args": {flag: "true"}}},
            "spec.engine.args",
            f"--{flag} is refused: {why}. Remove it",
        )
        for flag, why in REFUSED_FLAGS.items()
    },
    **{
        f"owned flag {flag}": ({"engine": {"args": {flag: 1}}}, "spec.engine.args", f"--{flag} is set by Fairlead: {instead}")
        for flag, instead in OWNED_FLAGS.items()
    },
    **{
        f"refused variable {name}": (
            {"engine": {"env": [{"name": name, "value": "1"}]}},
            "spec.engine.env[0]",
            f"{name} cannot be set: {why}. Remove it",
        )
        for name, why in REFUSED_ENV.items()
    },
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_path_and_what_to_write(api: Api, spec: Object, path: str, words: str) -> None:
    code, text = dry_run(api, model_deployment(spec))
    assert code != 0
    assert f"{path}: " in text
    assert words in text


@pytest.mark.parametrize("name", ["8b-chat", "chat.8b", "a" * 51])
def test_a_name_that_no_child_could_have_is_refused(api: Api, name: str) -> None:
    code, text = dry_run(api, model_deployment(name=name))
    assert code != 0
    assert "metadata.name: " in text
    assert "at most 50 lower-case letters" in text


def test_the_longest_name(api: Api) -> None:
    assert accepted(api, model_deployment(name="a" * 50))["metadata"]["name"] == "a" * 50


def test_an_unknown_field_is_refused(api: Api) -> None:
    code, text = dry_run(api, model_deployment({"engine": {"maxModelLength": 1}}))
    assert code != 0
    assert 'unknown field "spec.engine.maxModelLength"' in text


def test_defaults(api: Api) -> None:
    """All of them, down to those inside objects that the user left out."""
    assert accepted(api, model_deployment())["spec"] == {
        "model": {"uri": "pvc://models/qwen3-8b"},
        "engine": {"name": "vllm", "version": "0.32.0", "gpuMemoryUtilizationPercent": 90},
        "accelerator": {"resourceName": "nvidia.com/gpu"},
        "replicas": 2,
        "warmup": {"enabled": True, "requests": 8, "promptTokens": 64, "maxTokens": 16},
        "health": {"stallSeconds": 60, "startupTimeoutSeconds": 900, "gpuMemoryFloor": "128Mi"},
        "rollout": {"maxSurge": 1, "maxUnavailable": 0, "maxStreamSeconds": 600},
        "pod": {"resources": {"requests": {"cpu": "1", "memory": "4Gi"}}},
    }


@pytest.fixture
def stored(api: Api) -> Object:
    """A ModelDeployment in the API server, with a status as the operator writes it."""
    body = model_deployment(name="stored")
    api.kubectl("delete", "mdep", "stored", "--ignore-not-found")
    created = api.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(body))
    assert created.returncode == 0, created.stderr
    read: Object = json.loads(created.stdout)
    return read


def test_before_the_first_visit_the_status_says_so(stored: Object) -> None:
    assert stored["status"] == {"observedGeneration": -1}


def test_status_scale_and_columns(api: Api, stored: Object) -> None:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "EngineStarting",
        "message": "0/2 ready",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = {
        "observedGeneration": 1,
        "conditions": [condition],
        "replicas": 2,
        "availability": "0/2",
        "selector": "serving.fairlead.dev/model-deployment=stored",
        "url": "http://stored.default.svc",
        "servedName": "qwen3-8b",
    }
    patch = json.dumps({"status": status})
    patched = api.kubectl("patch", "mdep", "stored", "--subresource=status", "--type=merge", "-p", patch)
    assert patched.returncode == 0, patched.stderr

    scaled = api.kubectl("scale", "mdep", "stored", "--replicas=5")
    assert scaled.returncode == 0, scaled.stderr
    scale = json.loads(api.kubectl("get", "mdep", "stored", "--subresource=scale", "-o", "json").stdout)
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 2, "selector": status["selector"]}

    head, row = api.kubectl("get", "mdep", "stored").stdout.splitlines()
    assert head.split() == ["NAME", "READY", "REPLICAS", "MODEL", "URL", "AGE"]
    assert row.split()[:5] == [stored["metadata"]["name"], "False", "0/2", "qwen3-8b", "http://stored.default.svc"]
    assert "EngineStarting" in api.kubectl("get", "mdep", "stored", "-o", "wide").stdout
    assert "modeldeployment.serving.fairlead.dev/stored" in api.kubectl("get", "all", "-o", "name").stdout


def test_explain_reads_well(api: Api) -> None:
    text = " ".join(api.kubectl("explain", "mdep.spec.engine").stdout.split())
    assert "gpuMemoryUtilizationPercent <integer> Share of the GPU's memory that the engine takes, in percent." in text
    assert "args <map[string]Object> Further flags of the engine: the long flag without the dashes in front" in text
    whole = api.kubectl("explain", "mdep", "--recursive").stdout
    assert "topologyKey\t<string> -required-" in whole


def test_the_api_server_has_no_warning_about_the_crd(api: Api) -> None:
    done = api.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(CRD))
    assert (done.returncode, done.stderr) == (0, "")
    crd = json.loads(api.kubectl("get", "crd", yaml.safe_load(CRD.read_text())["metadata"]["name"], "-o", "json").stdout)
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
