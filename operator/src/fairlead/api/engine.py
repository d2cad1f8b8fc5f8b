"""`spec.engine`: the program that runs the model, its flags and its environment."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fairlead.api.base import ApiModel, FlagValue
from fairlead.api.engine_env import ENV_RULES
from fairlead.api.engine_flags import ARGS_RULES
from fairlead.api.markers import Cel, ListMap, Rules


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap in the ModelDeployment's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the Secret or ConfigMap."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """Key within it."""
    optional: bool | None = None
    """Whether the pod may start without it. Default: no."""


class EnvValueFrom(ApiModel):
    """Where a value comes from: exactly one of the two."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="has(self.secretKeyRef) != has(self.configMapKeyRef)",
            message="write exactly one of secretKeyRef and configMapKeyRef",
        ),
    )
    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""


class EnvVar(ApiModel):
    """One environment variable of the engine container."""

    rules: ClassVar[tuple[Cel, ...]] = ENV_RULES
    name: Annotated[str, Field(min_length=1, max_length=128)]
    """Name, such as NCCL_DEBUG."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """The value itself; it may refer to earlier variables as $(NAME)."""
    value_from: EnvValueFrom | None = None
    """Where the value comes from."""


class CompileCache(ApiModel):
    """Where the engine keeps what it has compiled. Whoever can write there can run code in the engine."""

    claim_name: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Cel(
            rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
            message="write the name of a PersistentVolumeClaim of this namespace, such as compile-cache",
        ),
    ]
    """A PersistentVolumeClaim of this namespace, for nothing else. Replicas on several nodes need ReadWriteMany. Each image and
    model has a folder of its own on it."""


def _word(example: str) -> Cel:
    return Cel(
        rule="self.matches('^[a-z0-9][a-z0-9_-]*$')",
        message=f"write one word of lower-case letters, digits, _ and -, such as {example}",
    )


class Engine(ApiModel):
    """The program that runs the model."""

    name: Literal["vllm"] = "vllm"
    """Which engine."""
    version: Annotated[
        str,
        Field(min_length=1, max_length=32),
        Cel(
            rule="self.matches('^[0-9]+[.][0-9]+[.][0-9]+$')",
            message="write three numbers with dots between them, such as 0.32.0",
        ),
    ] = "0.32.0"
    """Version of the engine. It chooses the image, unless image is set, and the table of flags that args are checked against."""
    image: (
        Annotated[
            str,
            Field(min_length=1, max_length=512),
            Cel(
                rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$')",
                message="write an image reference without spaces, such as "
                "registry.example.com/fairlead/vllm:0.32.0 or one that ends in @sha256:DIGEST",
            ),
        ]
        | None
    ) = None
    """Image of the engine container with Fairlead's agent as its entrypoint. Default: the operator's image for this version."""
    dtype: Literal["auto", "bfloat16", "float", "float16", "float32", "half"] | None = None
    """Data type of weights and activations (--dtype). Default: the engine decides, from the model."""
    quantization: Annotated[str, Field(min_length=1, max_length=64), _word("fp8 or awq")] | None = None
    """How the weights are quantized (--quantization). Default: what the model's own configuration says."""
    kv_cache_dtype: Annotated[str, Field(min_length=1, max_length=64), _word("auto or fp8")] | None = None
    """Data type of the KV cache (--kv-cache-dtype). Default: that of the model."""
    max_model_len: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Longest prompt and answer together, in tokens (--max-model-len). Default: what the model's own configuration says."""
    max_num_seqs: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Most requests that one replica works on at a time (--max-num-seqs). Default: the engine decides."""
    gpu_memory_utilization_percent: Annotated[int, Field(ge=10, le=98)] = 90
    """Share of the GPU's memory that the engine takes, in percent. A replica starts only once that much is free."""
    compile_cache: CompileCache | None = None
    """A volume that survives the pods, for what the engine compiles at its start. Default: none, and each start compiles anew."""
    args: Annotated[dict[str, FlagValue], Field(max_length=64), Rules(ARGS_RULES)] = Field(default_factory=dict)
    """Further flags of the engine: the long flag without the dashes in front, and its value, a number or a string. A switch
    takes "true" or "false", in quotes. Several values, or an object, are written as JSON."""
    env: Annotated[list[EnvVar], Field(max_length=64), ListMap(("name",))] = Field(default_factory=list)
    """Environment variables of the engine container."""
