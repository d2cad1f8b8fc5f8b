"""What kind's kubeconfig says, in the files that the cluster without Docker has."""

import base64
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout


def unpack(kubectl: Path, layout: Layout) -> tuple[str, int]:
    """Write the administrator's certificates into the state folder; address and port of the API server.

    Raises:
        ClusterError: kubectl cannot read the file; the message holds its words.
    """
    command = [str(kubectl), f"--kubeconfig={layout.kubeconfig}", "config", "view", "--raw", "--minify", "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{layout.kubeconfig} cannot be read: {done.stderr.strip()}")
    read = json.loads(done.stdout)
    cluster, user = read["clusters"][0]["cluster"], read["users"][0]["user"]
    files = {
        "ca.crt": cluster["certificate-authority-data"],
        "admin.crt": user["client-certificate-data"],
        "admin.key": user["client-key-data"],
    }
    layout.pki.mkdir(exist_ok=True)
    for name, encoded in files.items():
        with os.fdopen(os.open(layout.pki / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(base64.b64decode(encoded))
    server = urlsplit(cluster["server"])
    return str(server.hostname), int(server.port or 443)
