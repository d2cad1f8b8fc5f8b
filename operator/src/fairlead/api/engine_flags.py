"""Which flags of the engine a ModelDeployment may not set, and why: the CRD refuses them, and so does the operator.

Two kinds. *Owned* flags are Fairlead's: a field sets them, or the pod would not work with another value. *Refused* flags are
unsafe where people other than the cluster's admin write ModelDeployments or send requests; the chart's `engine.allowedFlags`
takes one out of the list. Names are those of the engine's long flags, without the dashes in front.
"""

from __future__ import annotations

from fairlead.api.engine_values import LOADS_CODE, MODULE_PATH, VALUE_RULES
from fairlead.api.markers import Cel

_ONE_GPU = "a replica has one GPU and one process group in this release; use replicas for more throughput"
_NETWORK = "the engine listens on loopback only and the sidecar serves the network"
_TLS = "TLS ends at the sidecar, not at the engine"
_HUB = "nothing is downloaded at run time, the model is what spec.model.uri holds"

OWNED_FLAGS: dict[str, str] = {
    "model": "use spec.model.uri",
    "served-model-name": "use spec.model.servedName",
    "dtype": "use spec.engine.dtype",
    "quantization": "use spec.engine.quantization",
    "kv-cache-dtype": "use spec.engine.kvCacheDtype",
    "max-model-len": "use spec.engine.maxModelLen",
    "max-num-seqs": "use spec.engine.maxNumSeqs",
    "gpu-memory-utilization": "use spec.engine.gpuMemoryUtilizationPercent",
    "device-memory-utilization": "use spec.engine.gpuMemoryUtilizationPercent",
    "revision": _HUB,
    "tokenizer-revision": _HUB,
    "code-revision": _HUB,
    "hf-token": _HUB,
    "config": "it would read flags from a file, past every check; write them in spec.engine.args",
    "host": _NETWORK,
    "port": _NETWORK,
    "uds": _NETWORK,
    "grpc": _NETWORK,
    "grpc-port": _NETWORK,
    "headless": "it would start no server at all",
    "api-key": "the key would stand in the pod's spec, and it leaves /invocations, /pause and /tokenize open",
    "ssl-keyfile": _TLS,
    "ssl-certfile": _TLS,
    "ssl-ca-certs": _TLS,
    "ssl-cert-reqs": _TLS,
    "ssl-ciphers": _TLS,
    "enable-ssl-refresh": _TLS,
    "uvicorn-log-level": "at trace it logs requests; the access log is the sidecar's",
    "disable-uvicorn-access-log": "the access log is the sidecar's",
    "disable-access-log-for-endpoints": "the access log is the sidecar's",
    "disable-log-stats": "Fairlead reads the engine's metrics to tell a hung engine from a busy one",
    "disable-fastapi-docs": "it is always set: the engine's own documentation pages stay off",
    "fingerprint-mode": "it is always none: answers do not tell the engine's version",
    "fingerprint-value": "answers carry no fingerprint",
    "shutdown-timeout": "it is always 45 seconds; how long streams may go on is spec.rollout.maxStreamSeconds",
    "tensor-parallel-size": _ONE_GPU,
    "pipeline-parallel-size": _ONE_GPU,
    "prefill-context-parallel-size": _ONE_GPU,
    "decode-context-parallel-size": _ONE_GPU,
    "data-parallel-size": _ONE_GPU,
    "data-parallel-size-local": _ONE_GPU,
    "data-parallel-rank": _ONE_GPU,
    "data-parallel-start-rank": _ONE_GPU,
    "data-parallel-address": _ONE_GPU,
    "data-parallel-rpc-port": _ONE_GPU,
    "data-parallel-backend": _ONE_GPU,
    "data-parallel-hybrid-lb": _ONE_GPU,
    "data-parallel-external-lb": _ONE_GPU,
    "data-parallel-multi-port-external-lb": _ONE_GPU,
    "data-parallel-supervisor-port": _ONE_GPU,
    "nnodes": _ONE_GPU,
    "node-rank": _ONE_GPU,
    "master-addr": _ONE_GPU,
    "master-port": _ONE_GPU,
    "device-ids": _ONE_GPU,
}
"""Flag -> what to do instead, or why there is nothing to do."""

REFUSED_FLAGS: dict[str, str] = {
    "trust-remote-code": "it runs Python code that comes with the model",
    "middleware": LOADS_CODE,
    "tool-parser-plugin": LOADS_CODE,
    "reasoning-parser-plugin": LOADS_CODE,
    "io-processor-plugin": LOADS_CODE,
    "logits-processors": LOADS_CODE,
    "worker-cls": LOADS_CODE,
    "worker-extension-cls": LOADS_CODE,
    "scheduler-cls": LOADS_CODE,
    "model-class-overrides": LOADS_CODE,
    "logging-config": "its file or formatter can name Python code that the engine then loads; log-level sets the level",
    "log-config-file": "the file can name Python code that the engine then loads; log-level sets the level",
    "tool-server": "it lets the engine call other servers, or run code that the model has written",
    "trust-request-chat-template": "a request could bring its own template, which runs in the engine",
    "trust-request-mm-kwargs": "a request could ask for any amount of memory",
    "enable-prompt-embeds": "a request with wrong shapes crashes the engine",
    "allowed-local-media-path": "requests could read files of the container",
    "allowed-media-domains": "the engine would fetch URLs that requests name; by default it fetches none",
    "enable-log-requests": "prompts would stand in the log",
    "enable-log-outputs": "answers would stand in the log",
    "enable-tokenizer-info-endpoint": "it tells the chat template and the tokenizer's settings to everybody",
    "profiler-config": "requests could start a profiler, which stops the engine and writes files",
}
"""Flag -> why."""

REFUSED_JSON_KEYS: dict[str, str] = {
    "reasoning_parser_plugin": LOADS_CODE,
    "pylogging_config_file": "the file can name Python code that the engine then loads",
    "encoder_cache_manager_cls": LOADS_CODE,
    "inductor_passes": "it loads Python code that its values name into the engine",
    MODULE_PATH: LOADS_CODE,
    "trust_remote_code": "it runs Python code that comes with the model",
}
"""Keys inside JSON-valued flags that do what a refused flag does, module_path at the end of a longer one too. The operator looks
for them; CEL cannot read JSON."""

# The two whose value is a JSON object, which vLLM also takes key by key: --profiler-config.profiler torch.
_JSON_FLAGS = frozenset({"logging-config", "model-class-overrides", "profiler-config"})


def owned_message(flag: str) -> str:
    """Why an owned flag cannot be set, and what to do instead."""
    return f"--{flag} is set by Fairlead: {OWNED_FLAGS[flag]}"


def refused_message(flag: str) -> str:
    """Why a flag is refused, and who can allow it."""
    return (
        f"--{flag} is refused: {REFUSED_FLAGS[flag]}. Remove it, or have a cluster admin add {flag} "
        "to the chart's engine.allowedFlags"
    )


def refused_key(key: str) -> str:
    """Why a key within JSON is refused; empty if it is not."""
    return REFUSED_JSON_KEYS[MODULE_PATH] if key.endswith(MODULE_PATH) else REFUSED_JSON_KEYS.get(key, "")


def _absent(flag: str) -> str:
    if flag in _JSON_FLAGS:
        return f"self.all(k, k != '{flag}' && !k.startsWith('{flag}.'))"
    return f"!('{flag}' in self)"


# A flag's name, and for a flag with a JSON value the path of a key within it: compilation-config.pass_config.fuse_norm_quant.
_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*(\\.[A-Za-z0-9_]+)*[+]?$"
_FIXED = "(k.startsWith('--') ? k.substring(2) : k.startsWith('-') ? k.substring(1) : k).replace('_', '-').lowerAscii()"

ARGS_RULES: tuple[Cel, ...] = (
    Cel(
        rule=f"self.all(k, k.matches('{_NAME}'))",
        message="write a flag as the engine's long flag without the dashes in front, such as max-num-batched-tokens",
        message_expression=(
            "'write a flag as the engine\\'s long flag without the dashes in front: ' + "
            f"self.filter(k, !k.matches('{_NAME}')).map(k, {_FIXED} + ' for ' + k)[0]"
        ),
    ),
    Cel(
        rule="self.all(k, !k.startsWith('no-'))",
        message='to switch a flag off write it without no- and with the value "false"',
        message_expression=(
            "'to switch a flag off write it without no-: ' + "
            "self.filter(k, k.startsWith('no-')).map(k, k.substring(3) + ': \"false\" for ' + k)[0]"
        ),
    ),
    *(
        Cel(rule=_absent(flag), message=refused_message(flag), reason="FieldValueForbidden", allowable_flag=flag)
        for flag in sorted(REFUSED_FLAGS)
    ),
    *VALUE_RULES,
    *(Cel(rule=_absent(flag), message=owned_message(flag), reason="FieldValueForbidden") for flag in sorted(OWNED_FLAGS)),
)
"""The rules of spec.engine.args."""
