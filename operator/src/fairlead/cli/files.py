"""Files that a command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from fairlead.api.base import API_VERSION, KIND
from fairlead.api.model_deployment import ModelDeployment
from fairlead.cli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def documents(file: Path) -> list[Any]:
    """The YAML documents of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such file") from None
    # ValueError: no UTF-8, or a date such as 2026-13-01.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML: {error}") from None


def model_deployment(file: Path) -> ModelDeployment:
    """The one ModelDeployment of a file, which may hold other objects as well.

    Raises:
        UserError: there is none, or more than one, or it is not valid.
    """
    found = [each for each in documents(file) if isinstance(each, dict) and each.get("kind") == KIND]
    if len(found) != 1:
        raise UserError(f"{file}: holds {len(found)} objects of kind {KIND} ({API_VERSION}); write exactly one")
    metadata = found[0].get("metadata") or {}
    if isinstance(metadata, dict):
        # As kubectl does: an object that names no namespace goes into the current one.
        metadata = {"namespace": "default", **metadata}
    whole = {**found[0], "metadata": metadata}
    try:
        return ModelDeployment.model_validate(whole)
    except ValidationError as error:
        wrong = "".join(f"\n  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserError(f"{file}: is no valid {KIND}:{wrong}") from None
