"""The cluster's certificate authority and what it signs, made with openssl. Elliptic keys: RSA ones take seconds."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.settings import write_whole

#: Longer than any cluster of this kind lives; the state folder goes with `down`.
DAYS = "365"

#: Without a file of our own, openssl adds the extensions of the machine's openssl.cnf, "is a CA" among them.
_CONFIG = "[req]\ndistinguished_name = name\nprompt = no\n[name]\n"

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A folder with ca.crt, ca.key and all that they signed. Each file is made once and then left alone."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def service_account_key(self) -> Path:
        """Signs service account tokens."""
        return self.folder / "sa.key"

    @property
    def service_account_public(self) -> Path:
        """Verifies service account tokens."""
        return self.folder / "sa.pub"

    def create(self) -> None:
        """Make the authority and the service accounts' keys.

        Raises:
            ClusterError: openssl is missing or refuses.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.folder / "openssl.cnf", _CONFIG)
        self._sign("ca", "/CN=fairlead-cluster", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"])
        if not self.service_account_public.exists():
            _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", self.service_account_key)
            public = self.service_account_public.with_suffix(".new")
            _openssl("pkey", "-in", self.service_account_key, "-pubout", "-out", public)
            public.rename(self.service_account_public)

    def issue(self, name: str, *, user: str, group: str = "", hosts: Sequence[str] = ()) -> Pair:
        """A certificate for a client (user and group are RBAC's names) that also serves as `hosts`, names or addresses.

        Raises:
            ClusterError: openssl is missing or refuses.
        """
        extensions = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth,serverAuth"]
        if hosts:
            extensions.append("subjectAltName=" + ",".join(alternative_name(host) for host in hosts))
        subject = (f"/O={group}" if group else "") + f"/CN={user}"
        return self._sign(name, subject, extensions, "-CA", self.certificate, "-CAkey", self.folder / "ca.key")

    def _sign(self, name: str, subject: str, extensions: Sequence[str], *signer: str | Path) -> Pair:
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        if not pair.certificate.exists():
            new = pair.certificate.with_suffix(".new")
            added = [part for extension in extensions for part in ("-addext", extension)]
            _openssl(
                *("req", "-x509", "-config", self.folder / "openssl.cnf", "-days", DAYS, "-subj", subject),
                *(*_NEW_KEY, "-keyout", pair.key, "-out", new, *added, *signer),
            )
            new.rename(pair.certificate)
        return pair


def alternative_name(host: str) -> str:
    """As openssl writes it: IP:10.0.0.1 or DNS:localhost."""
    return f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}"


def _openssl(*args: str | Path) -> None:
    # The environment's own settings must not slip in.
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENSSL_")}
    try:
        done = subprocess.run(["openssl", *map(str, args)], env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError("openssl is not installed: `make debian` installs it") from error
    if done.returncode:
        raise ClusterError(f"openssl {args[0]} failed: {done.stderr.strip()}")
