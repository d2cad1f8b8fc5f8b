"""The cluster that a command reads, as kubectl would find it: by kubeconfig, context and namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fairlead.cli import kubeconfig
from fairlead.cli.errors import UserError

if TYPE_CHECKING:
    import argparse

    from fairlead.reconciler.kinds import Kind, Manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that kubectl has for it."""
    parser.add_argument("-n", "--namespace", help="default: that of the kubeconfig's context")
    parser.add_argument("--context", help="of the kubeconfig (default: the current one)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, or ~/.kube/config")


async def read(options: argparse.Namespace, kind: Kind, name: str) -> Manifest:
    """One object.

    Raises:
        UserError: there is no such object, or no cluster.
    """
    # Only here: the library takes a second to be read, which commands without a cluster need not wait for.
    from kubernetes.aio import config  # noqa: PLC0415
    from kubernetes.aio.client.api_client import ApiClient  # noqa: PLC0415
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415
    from kubernetes.aio.dynamic import DynamicClient  # noqa: PLC0415

    from fairlead.reconciler.client import ApiError, Client  # noqa: PLC0415

    chosen = kubeconfig.choose(options.kubeconfig, options.context, os.environ)
    namespace = options.namespace or chosen.namespace
    used = Configuration()
    loader: Any = config.load_kube_config
    try:
        await loader(config_file=chosen.files, context=chosen.context, client_configuration=used)
    # The library takes on trust what form a file's clusters and users have.
    except (config.ConfigException, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{chosen.files}: context {chosen.context} cannot be used: {error}; "
            f"does `kubectl --context {chosen.context} version` work?"
        ) from None
    async with ApiClient(used) as api:
        dynamic: Any = DynamicClient
        try:
            found = await Client(dynamic(api)).get(kind, namespace, name)
        except ApiError as error:
            raise UserError(str(error)) from None
    if found is None:
        raise UserError(
            f"there is no {kind.name} {name} in namespace {namespace}; "
            f"kubectl get {kind.plural} -A shows those there are, where Fairlead is installed"
        )
    return found
