import json
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.pki import Authority, alternative_name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki") / "pki")
    made.create()
    return made


@pytest.mark.parametrize(("host", "expected"), [("10.0.0.1", "IP:10.0.0.1"), ("kubernetes.default", "DNS:kubernetes.default")])
def test_names_and_addresses_are_told_apart(host: str, expected: str) -> None:
    assert alternative_name(host) == expected


def test_client_and_server_accept_each_other(authority: Authority) -> None:
    """A real handshake: the client checks the server's name, the server reads user and group off the client."""
    server, client = (
        authority.issue("server", user="server", hosts=["localhost", "127.0.0.1"]),
        authority.issue("client", user="system:node:one", group="system:nodes"),
    )
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(str(server.certificate), str(server.key))
    asking = ssl.create_default_context(cafile=str(authority.certificate))
    asking.load_cert_chain(str(client.certificate), str(client.key))
    seen: list[object] = []

    def accept() -> None:
        with serving.wrap_socket(ends[0], server_side=True) as connection:
            seen.append(connection.getpeercert())
            connection.sendall(b"ok")

    ends = socket.socketpair()
    thread = threading.Thread(target=accept)
    thread.start()
    with asking.wrap_socket(ends[1], server_hostname="localhost") as connection:
        assert connection.recv(2) == b"ok"
    thread.join()
    [certificate] = seen
    assert isinstance(certificate, dict)
    assert certificate["subject"] == ((("organizationName", "system:nodes"),), (("commonName", "system:node:one"),))


def test_what_is_signed_is_no_authority_itself(authority: Authority) -> None:
    pair = authority.issue("plain", user="plain")
    text = subprocess.run(
        ["openssl", "x509", "-in", pair.certificate, "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "CA:TRUE" not in text.stdout
    assert "TLS Web Client Authentication" in text.stdout


def test_a_second_run_changes_nothing(authority: Authority) -> None:
    pair = authority.issue("again", user="again")
    before = {path: path.read_bytes() for path in authority.folder.iterdir()}
    authority.create()
    assert authority.issue("again", user="again") == pair
    assert {path: path.read_bytes() for path in authority.folder.iterdir()} == before


def test_keys_are_for_their_owner_alone(authority: Authority) -> None:
    keys = list(authority.folder.glob("*.key"))
    assert keys
    assert {oct(key.stat().st_mode & 0o077) for key in keys} == {"0o0"}


def test_a_kubeconfig_holds_all_that_a_client_needs(authority: Authority, tmp_path: Path) -> None:
    client = authority.issue("admin", user="admin", group="system:masters")
    path = tmp_path / "admin.kubeconfig"
    write_kubeconfig(path, server="https://10.0.0.1:6443", authority=authority.certificate, client=client)
    content = json.loads(path.read_text())
    assert content["current-context"] == content["contexts"][0]["name"]
    assert content["contexts"][0]["context"] == {"cluster": content["clusters"][0]["name"], "user": content["users"][0]["name"]}
    assert content["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert str(authority.folder) not in path.read_text(), "certificates are inside, not referred to"
    assert path.stat().st_mode & 0o077 == 0
