"""Images into the cluster's containerd."""

import subprocess
from collections.abc import Sequence

from tests.cluster.errors import ClusterError
from tests.cluster.images.oci import Image, write_archive
from tests.cluster.progress import step


def import_missing(images: Sequence[Image], ctr: Sequence[str]) -> list[str]:
    """Import the images that the containerd behind `ctr` does not have, and return their references.

    A layer that it has from another image is not sent again: seconds instead of half a minute where only the agent has changed.

    Raises:
        ClusterError: containerd refused one; the message holds its words.
    """
    present = set(_lines(ctr, "images", "ls", "--quiet"))
    imported = []
    for image in images:
        if image.reference in present:
            continue
        known = set(_lines(ctr, "content", "ls", "--quiet"))
        size = sum(layer.size for layer in image.layers if layer.digest not in known)
        with step(f"Import of {image.reference} ({size >> 20} MB)"):
            _import(image, ctr, known)
        imported.append(image.reference)
    return imported


def remove_superseded(images: Sequence[Image], ctr: Sequence[str]) -> list[str]:
    """Remove other versions of the images that no container is of, and return their references.

    The kubelet's own clearing is off in this cluster, since it would take images that nothing can pull again; and a version of
    vLLM's environment takes 5 GB.

    Raises:
        ClusterError: ctr failed; the message holds its words.
    """
    rows = [line.split() for line in _run(ctr, "images", "ls").splitlines()[1:]]
    digests = {row[0]: row[2] for row in rows}  # REF TYPE DIGEST …
    used = {line.split()[1] for line in _run(ctr, "containers", "ls").splitlines()[1:]}
    kept = {image.reference for image in images} | used
    names = {image.reference.rpartition(":")[0] for image in images}
    superseded = [each for each in digests if each.rpartition(":")[0] in names and each not in kept]
    gone = {digests[each] for each in superseded} - {digests[each] for each in digests if each in kept}
    if superseded:
        # With them the references by digest that the kubelet's side of containerd adds, or the layers stay.
        _run(
            ctr,
            "images",
            "rm",
            "--sync",
            *superseded,
            *(each for each in digests if each.startswith("sha256:") and digests[each] in gone),
        )
    return superseded


def _import(image: Image, ctr: Sequence[str], known: set[str]) -> None:
    # --local: ctr unpacks by itself; over the transfer service it took 62 s for 2.9 GB instead of 24 s.
    command = [*ctr, "images", "import", "--local", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        try:
            write_archive(image, process.stdin, leave_out=known)
            process.stdin.close()
        except BrokenPipeError:
            pass  # ctr has given up, and says why
        said = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise ClusterError(f"containerd did not take {image.reference}:\n{said[-2000:]}")


def _lines(ctr: Sequence[str], *command: str) -> list[str]:
    return _run(ctr, *command).split()


def _run(ctr: Sequence[str], *command: str) -> str:
    done = subprocess.run([*ctr, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"ctr {' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
