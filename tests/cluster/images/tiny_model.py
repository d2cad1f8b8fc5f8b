"""The model of the quickstart and of the tests: 0.5 MB, made on the spot, since no model hub need be in reach."""

from pathlib import Path

from tests.cluster.images.cache import key, once
from tests.cluster.progress import run_logged

_SCRIPT = Path(__file__).with_name("make_tiny_model.py")


def tiny_model(engine: Path, cache: Path, home: Path) -> Path:
    """The model's folder, made the first time by the Python of vLLM's environment.

    Raises:
        ClusterError: the script failed; the message ends with what it said.
    """

    def make(scratch: Path) -> None:
        command = [str(engine / "bin/python3"), "-I", str(_SCRIPT), str(scratch / "tiny")]
        run_logged("The tiny model", command, home / "tiny-model.log")
        (scratch / "tiny").chmod(0o755)

    return once(cache / "models" / f"tiny-{key(_SCRIPT, engine.parents[2].name)}", make) / "tiny"
