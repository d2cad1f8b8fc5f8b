"""The argv of vLLM: typed fields, what Fairlead always sets, and spec.engine.args. It never passes through a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead.resources import lifetimes, names
from fairlead.resources.engine_flags.tables import table
from fairlead.resources.engine_flags.values import argv
from fairlead.resources.hub_model import DOWNLOADED, is_hub
from fairlead.resources.model_volume import ModelVolume

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment

DEFAULTS: Final = {
    # Refuses pickled weights, which run code as they load.
    "load-format": "safetensors",
    # The name resolves nowhere (RFC 2606): no URL in a request is ever fetched.
    "allowed-media-domains": "media.invalid",
}
"""Set unless spec.engine.args has another value for it; the second one only with a cluster admin's leave."""

FIXED: Final = (
    "--disable-fastapi-docs",
    "--disable-uvicorn-access-log",
    "--fingerprint-mode=none",
    f"--shutdown-timeout={lifetimes.ENGINE_SHUTDOWN}",
)


def engine_args(mdep: ModelDeployment) -> list[str]:
    """The words after `vllm serve`.

    Raises:
        ValueError: the spec is one that `validate` refuses.
    """
    spec = mdep.spec
    engine = spec.engine
    known = table(engine.version)
    if known is None:
        raise ValueError(f"the flags of {engine.name} {engine.version} are not known")
    typed = {
        "dtype": engine.dtype,
        "quantization": engine.quantization,
        "kv-cache-dtype": engine.kv_cache_dtype,
        "max-model-len": engine.max_model_len,
        "max-num-seqs": engine.max_num_seqs,
    }
    # Name and value in one word, so that a value that begins with - cannot become a flag of its own.
    words = [
        DOWNLOADED if is_hub(spec.model.uri) else ModelVolume.parse(spec.model.uri).mounted,
        f"--served-model-name={mdep.served_name}",
        "--host=127.0.0.1",
        f"--port={names.ENGINE_PORT}",
        f"--gpu-memory-utilization=0.{engine.gpu_memory_utilization_percent:02d}",
        *(f"--{flag}={value}" for flag, value in typed.items() if value is not None),
        *(f"--{flag}={value}" for flag, value in DEFAULTS.items() if flag not in engine.args),
        *FIXED,
        *(word for flag, value in sorted(engine.args.items()) for word in argv(known.flags.get(flag), flag, str(value))),
    ]
    # The kubelet replaces $(NAME) in args: the engine is to get what was written, and what was checked.
    return [word.replace("$", "$$") for word in words]
