"""Who the operator is to the API server: in a cluster its service account, elsewhere the kubeconfig."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration

TOKEN_LIFE = timedelta(minutes=10)
"""After how long kopf reads the token file again. The kubelet renews a token of an hour when a fifth of its life is left."""


class LoginError(Exception):
    """There are no credentials; the message is for people."""


async def configuration() -> Configuration:
    """The library's configuration, which reads a rotated token file again by itself.

    Raises:
        LoginError: neither a service account nor a usable kubeconfig is there.
    """
    # No proxy of the environment, as kopf has it for the watches. Else each request looks for one and for a .netrc, in a thread:
    # half of what it costs.
    made = Configuration(client_session_kwargs={"trust_env": False})
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=made)  # type: ignore[no-untyped-call]
        else:
            # The library reads the variable only once, when it is imported.
            await config.load_kube_config(config_file=os.environ.get("KUBECONFIG"), client_configuration=made)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise LoginError(f"cannot log in to a Kubernetes API: {error}; run in a pod, or set KUBECONFIG") from None
    return made


async def connection(used: Configuration) -> kopf.ConnectionInfo:
    """The same credentials for kopf, as they are now."""
    header = await used.get_api_key_with_prefix("BearerToken") or ""
    return kopf.ConnectionInfo(
        server=used.host,
        ca_path=used.ssl_ca_cert,
        insecure=not used.verify_ssl,
        certificate_path=used.cert_file,
        private_key_path=used.key_file,
        token=header.rpartition(" ")[2] or None,
        expiration=datetime.now(UTC) + TOKEN_LIFE if header else None,
    )


def register(handlers: kopf.OperatorRegistry, used: Configuration) -> None:
    """Have kopf log in as the client does, again whenever its credentials are used up."""

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(used)

    kopf.on.login(id="login", registry=handlers)(login)
