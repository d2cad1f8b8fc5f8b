"""`spec.model`: which model, where its files are, and under which name clients ask for it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fairlead.api.base import ApiModel, QuantityStr
from fairlead.api.markers import Cel

_PART = "[A-Za-z0-9]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
HUB_URI = f"^hf://{_PART}/{_PART}$"
"""Names as the public hub takes them: at most 96 letters, digits and ._- each, no -- and no .. in them."""


class TokenRef(ApiModel):
    """The access token for the hub: one key of a Secret in the ModelDeployment's own namespace."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Cel(
            rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
            message="write the name of a Secret of this namespace, such as hub-token",
        ),
    ]
    """Name of the Secret."""
    key: (
        Annotated[
            str,
            Field(min_length=1, max_length=253),
            Cel(rule="self.matches('^[A-Za-z0-9._-]+$')", message="write a key of the Secret, such as token"),
        ]
        | None
    ) = None
    """Key within it. Default: token."""


class Cache(ApiModel):
    """The volume that each replica downloads the model to. It is the pod's own, and goes with it."""

    size: (
        Annotated[
            QuantityStr,
            Cel(
                rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Mi')) >= 0"
                " && quantity(string(self)).compareTo(quantity('64Ti')) <= 0",
                message="write a size from 1Mi to 64Ti, such as 40Gi: the model's files, and a tenth more",
            ),
        ]
        | None
    ) = None
    """Size of the volume. Default: 100Gi, which holds any model that fits a GPU of 80 GB. What does not fit is told before
    anything of it is downloaded."""
    storage_class_name: (
        Annotated[
            str,
            Field(min_length=1, max_length=253),
            Cel(
                rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
                message="write the name of a StorageClass, such as fast-ssd",
            ),
        ]
        | None
    ) = None
    """StorageClass of the volume; one on the node's own disks is quickest. Default: the cluster's default class."""


class Model(ApiModel):
    """Which model, where its files are, and under which name clients ask for it."""

    rules: ClassVar[tuple[Cel, ...]] = tuple(
        Cel(
            rule=f"!has(self.{field}) || self.uri.startsWith('hf://')",
            message=f"only a model of a hub has it (spec.model.uri: hf://ORG/NAME); remove it, or write such a uri{more}",
            reason="FieldValueForbidden",
            field_path=f".{field}",
        )
        for field, more in (
            ("revision", ". What lies on a claim has no revisions"),
            ("secretRef", ""),
            ("cache", ". What lies on a claim is read from there"),
            ("endpoint", ""),
        )
    )
    uri: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        Cel(
            rule="self.matches('^pvc://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(/.*)?$') || self.startsWith('hf://')",
            message="write pvc://CLAIM or pvc://CLAIM/PATH, with the name of a PersistentVolumeClaim of this "
            "namespace and the model's folder on it, such as pvc://models/qwen3-8b, or hf://ORG/NAME for a model that each "
            "replica downloads from a hub, such as hf://Qwen/Qwen3-8B; no other kind of place is supported yet",
        ),
        Cel(
            rule="!self.startsWith('pvc://') || "
            "self.matches('^pvc://[^/]*(/[A-Za-z0-9._=+@-]+)*/?$') && !self.matches('/[.]{1,2}(/|$)')",
            message="write the path as folders of letters, digits and ._=+@- with one / between them, without "
            ". and .., such as pvc://models/org/qwen3-8b",
        ),
        Cel(
            rule=f"!self.startsWith('hf://') || self.matches('{HUB_URI}') && !self.contains('--') && !self.contains('..')",
            message="write hf://ORG/NAME with both names as the hub has them, such as hf://Qwen/Qwen3-8B; a branch, tag or "
            "commit belongs into spec.model.revision",
        ),
    ]
    """Where the model lies: pvc://CLAIM or pvc://CLAIM/PATH, a folder on a PersistentVolumeClaim of this namespace; or
    hf://ORG/NAME, a model that each replica downloads from a hub before it starts."""
    revision: (
        Annotated[
            str,
            Field(min_length=1, max_length=255),
            Cel(
                rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$') && !self.contains('..') && !self.contains('//')",
                message="write a branch, a tag or a commit of the model, such as main or "
                "b968826d9c46dd6066d109eabc6255188de91218",
            ),
        ]
        | None
    ) = None
    """With hf://: branch, tag or commit. Default: main. Each replica downloads what it stands for at its own start: with a commit
    all replicas have the same."""
    secret_ref: TokenRef | None = None
    """With hf://: the access token, for private and gated models. Only the container that downloads sees it. Default: none."""
    cache: Cache | None = None
    """With hf://: the volume that each replica downloads to. Default: 100Gi of the cluster's default StorageClass."""
    endpoint: (
        Annotated[
            str,
            Field(min_length=1, max_length=512),
            Cel(
                rule=r"self.matches(r'^https?://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~-]+)*/?$')",
                message="write http:// or https:// and the address of a hub, such as https://hub.example.com or "
                "https://mirror.example.com/huggingface",
            ),
        ]
        | None
    ) = None
    """With hf://: another hub that speaks the same protocol, such as a mirror. Over http a token can be read on the way. Default:
    the operator's, which is https://huggingface.co unless a cluster admin has set another."""
    served_name: (
        Annotated[
            str,
            Field(min_length=1, max_length=253),
            Cel(
                rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$')",
                message="write letters, digits and ._:/@-, beginning with a letter or digit, such as qwen3-8b or org/model",
            ),
        ]
        | None
    ) = None
    """The name that clients put into the request's model field. Default: the name of the ModelDeployment."""
