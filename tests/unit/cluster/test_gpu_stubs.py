"""Stand-ins for missing GPU libraries, made for a library that links to real ones which are then taken away."""

import subprocess
from pathlib import Path

import pytest

from tests.cluster.images.gpu_stubs import add_stubs

#: Library -> its source and the version of its symbols ("" for none).
REAL = {
    "libcudart.so.13": ("long cudaMalloc(void) { return 0; }", "libcudart.so.13"),
    "libcublas.so.13": ("long cublasCreate(void) { return 0; }", "libcublas.so.13"),
    "libcuda.so.1": ("long cuInit(void) { return 0; }", ""),
    # Not a GPU's, and there: it stays as it is.
    "libother.so.1": ("long other(void) { return 7; }", ""),
}
USER = """
#include <stdio.h>
long cudaMalloc(void), cublasCreate(void), cuInit(void), other(void), _own(void);
long _own(void) { return 3; }
__attribute__((weak)) extern long cuOptional(void);
long sum(void) { return cudaMalloc() + 1000 * cublasCreate() + 1000000 * cuInit() + other() + _own() + (cuOptional ? 5 : 0); }
"""


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A folder with libuser.so, and libother.so.1 of those that it needs."""
    folder = tmp_path / "lib"
    folder.mkdir()
    for name, (source, version) in REAL.items():
        script = tmp_path / f"{name}.map"
        script.write_text(f"{version} {{ global: *; }};")
        options = [f"-Wl,--version-script={script}"] if version else []
        compile_library(folder / name, source, f"-Wl,-soname,{name}", *options)
    compile_library(folder / "libuser.so", USER, *(str(folder / name) for name in REAL))
    for name in REAL:
        if name != "libother.so.1":
            (folder / name).unlink()
    return folder


def compile_library(target: Path, source: str, *options: str) -> None:
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", str(target), *options],
        input=source,
        text=True,
        check=True,
    )


def call(libraries: Path) -> "subprocess.CompletedProcess[str]":
    program = f"import ctypes; print(ctypes.CDLL({str(libraries / 'libuser.so')!r}).sum())"
    env = {"LD_LIBRARY_PATH": str(libraries), "LD_BIND_NOW": "1"}
    return subprocess.run(["/usr/bin/python3", "-c", program], env=env, capture_output=True, text=True, check=False)


def defined(library: Path) -> set[str]:
    lines = subprocess.run(["readelf", "--dyn-syms", "--wide", library], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in lines.splitlines()]
    return {row[7].partition("@")[0] for row in rows if len(row) == 8 and row[3] == "FUNC" and row[6] != "UND"}


def test_a_library_loads_with_stand_ins_that_answer_no_device(libraries: Path) -> None:
    assert "libcudart.so.13" in call(libraries).stderr
    assert add_stubs(libraries) == ["libcublas.so.13", "libcuda.so.1", "libcudart.so.13"]
    answer = call(libraries)
    assert answer.stderr == ""
    assert int(answer.stdout) == 100 + 1000 * 100 + 1000000 * 100 + 7 + 3


def test_stand_ins_define_gpu_functions_and_nothing_else(libraries: Path) -> None:
    add_stubs(libraries)
    assert defined(libraries / "libcudart.so.13") == {"cudaMalloc", "cuInit"}
    assert defined(libraries / "libcublas.so.13") == {"cublasCreate"}
    assert sorted(each.name for each in libraries.iterdir()) == sorted([*REAL, "libuser.so"])
