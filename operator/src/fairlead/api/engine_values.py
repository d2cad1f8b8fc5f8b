"""Values that are refused, of flags that may have others and of keys within JSON.

Most make the engine load Python code by name. Source: every place in vLLM 0.32.0 that imports what its configuration names
(`import_module`, `__import__`, `resolve_obj_by_qualname`). The CRD refuses those of flags; CEL cannot read JSON, so those of keys
are the operator's to find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.markers import Cel

if TYPE_CHECKING:
    from collections.abc import Collection

LOADS_CODE = "it loads Python code that the value names into the engine"
MODULE_PATH = "module_path"
"""What the key ends in that names a module, in vLLM's own parts (`kv_connector_module_path`) as in those to come."""

_DOTTED = "^[^/.]+([.][^/.]+)+$"
"""The path of something in a module, for RE2 and Python alike; a folder or a model's name on a hub has a slash."""


@dataclass(frozen=True)
class Values:
    """Which values pass: the `known` ones, or where there are none, all but what matches `never`."""

    known: tuple[str, ...] = ()
    never: str = ""
    words: str = "a value that is not the path of a Python object"
    """What to write where no values are known."""

    def allow(self, value: Any) -> bool:
        """Whether such a value loads nothing."""
        if self.known:
            return value in self.known
        return not (isinstance(value, str) and re.search(self.never, value))

    @property
    def instead(self) -> str:
        """What to write, as the end of a message."""
        known = ", ".join(filter(None, self.known))
        return f"write one of {known}" if known else f"write {self.words}"

    def cel(self, value: str) -> str:
        """The CEL expression that is true of values that pass."""
        if self.known:
            return f"{value} in [{', '.join(repr(each) for each in self.known)}]"
        return f"!{value}.matches('{self.never}')"


FLAG_VALUES: dict[str, Values] = {
    "distributed-executor-backend": Values(known=("external_launcher", "mp", "ray", "uni")),
    "spec-method": Values(never="^custom_class$", words="another method"),
    "spec-model": Values(never=_DOTTED),
}
"""Flag -> its values. vLLM takes a speculative model with a dot and without a slash for a class, whatever the method."""

KEY_VALUES: dict[tuple[str, str], Values] = {
    # The backends of torch.compile that are no aid to debugging it; any other is looked for as module.object.
    ("compilation-config", "backend"): Values(known=("", "aot_eager", "cudagraphs", "eager", "inductor", "openxla", "tvm")),
    ("speculative-config", "method"): FLAG_VALUES["spec-method"],
    ("speculative-config", "model"): FLAG_VALUES["spec-model"],
    # Of kv_connector_extra_config.secondary_tiers[] and its backpressure; short names are vLLM's own.
    ("kv-transfer-config", "policy"): Values(never=_DOTTED),
    ("kv-transfer-config", "policy_cls"): Values(never=_DOTTED),
    ("kv-transfer-config", "backpressure_cls"): Values(never=_DOTTED),
}
"""Flag with a JSON value, and a key at any depth of it -> the key's values."""


UNSERVED_VALUES: dict[str, tuple[str, ...]] = {"runner": ("pooling",), "convert": ("classify", "embed")}
"""Flag -> values with which the engine generates no tokens. Warm-up, readiness and canary ask for some, so no replica would ever
be ready; the sidecar has no route for what such a model answers."""


def unserved_message(flag: str) -> str:
    """Why those values of a flag are refused. No admin can allow them."""
    return (
        f"--{flag} {' or '.join(UNSERVED_VALUES[flag])} is refused: embeddings and classifications are not served yet, and a "
        "replica counts as ready only when it generates tokens; leave it out, with a model that generates text"
    )


def key_to_allow(flag: str, key: str) -> str:
    """The name by which a cluster admin allows any value of a key."""
    return f"{flag}-{key}".replace("_", "-")


def value_message(what: str, values: Values, allow: str) -> str:
    """Why a value of a flag (`--flag`) or key is refused, what to write, and who can allow it."""
    return (
        f"{what} is refused with this value: {LOADS_CODE}; {values.instead}, or have a cluster admin add {allow} "
        "to the chart's engine.allowedFlags"
    )


def refused_value(flag: str, value: Any, allowed: Collection[str]) -> str:
    """Why a flag may not have that value; empty if it may."""
    if value in UNSERVED_VALUES.get(flag, ()):
        return unserved_message(flag)
    values = FLAG_VALUES.get(flag)
    if values is None or flag in allowed or values.allow(value):
        return ""
    return value_message(f"--{flag}", values, flag)


def refused_key_value(flag: str, key: str, value: Any, allowed: Collection[str]) -> str:
    """Why a key within a flag's JSON may not have that value; empty if it may."""
    values, allow = KEY_VALUES.get((flag, key)), key_to_allow(flag, key)
    if values is None or allow in allowed or values.allow(value):
        return ""
    return value_message(f"the key {key}", values, allow)


VALUE_RULES: tuple[Cel, ...] = (
    *(
        Cel(
            rule=f"!('{flag}' in self) || {values.cel(f'''string(self['{flag}'])''')}",
            message=value_message(f"--{flag}", values, flag),
            reason="FieldValueForbidden",
            allowable_flag=flag,
        )
        for flag, values in sorted(FLAG_VALUES.items())
    ),
    *(
        Cel(
            rule=f"!('{flag}' in self) || !(string(self['{flag}']) in [{', '.join(map(repr, values))}])",
            message=unserved_message(flag),
            reason="FieldValueForbidden",
        )
        for flag, values in sorted(UNSERVED_VALUES.items())
    ),
)
"""The rules of spec.engine.args about values."""
