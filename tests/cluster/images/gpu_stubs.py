"""Stand-ins for the GPU libraries that the CUDA build of torch links to, so that it loads where there are none.

PyPI has torch for Linux as a CUDA build alone, and its libraries are 3 GB that a CPU never calls. Each stand-in defines the
functions that torch takes from the real one, under the real one's symbol versions; all answer 100, which is cudaErrorNoDevice
and CUDA_ERROR_NO_DEVICE.
"""

import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.errors import ClusterError

_GPU_LIBRARY = re.compile(r"lib(cu|nv|nccl).*\.so\.\d+$")
_GPU_FUNCTION = re.compile(r"_*(cu|nv|nccl|pnccl)")
#: Takes the functions without a symbol version: every GPU library of torch links to it.
_CATCH_ALL = "libcudart.so"


@dataclass
class _Symbols:
    """What some shared libraries want and define."""

    #: Library -> symbol versions taken from it.
    needed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: Function -> symbol version, or "".
    undefined: dict[str, str] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


def add_stubs(libraries: Path) -> list[str]:
    """Put the stand-ins beside torch's own libraries, and return their names.

    Raises:
        ClusterError: gcc or readelf is missing or failed.
    """
    symbols = _Symbols()
    for library in sorted(libraries.glob("*.so*")):
        _read(library, symbols)
    wanted = sorted(name for name in symbols.needed if _GPU_LIBRARY.match(name) and not (libraries / name).exists())
    for name in wanted:
        versions: dict[str, list[str]] = {version: [] for version in symbols.needed[name]}
        for function, version in symbols.undefined.items():
            if function in symbols.defined:
                continue
            if version and version in versions:
                versions[version].append(function)
            elif not version and name.startswith(_CATCH_ALL) and _GPU_FUNCTION.match(function):
                versions.setdefault("", []).append(function)
        _compile(libraries / name, versions)
    return wanted


def _read(library: Path, symbols: _Symbols) -> None:
    dynamic = _run("readelf", "--dynamic", "--version-info", "--dyn-syms", "--wide", str(library))
    for name in re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic):
        symbols.needed[name].update()
    file = ""
    for line in dynamic.splitlines():
        if found := re.search(r"Version: \d+\s+File: (\S+)", line):
            file = found[1]
        elif found := re.search(r"Name: (\S+)\s+Flags: .*Version: \d+", line):
            symbols.needed[file].add(found[1])
        elif found := re.match(r"\s*\d+: \S+\s+\S+\s+\S+\s+(\S+)\s+\S+\s+(\S+)\s+([^\s@]+)(?:@+(\S+))?", line):
            binding, section, name, version = found.groups()
            if section != "UND":
                symbols.defined.add(name)
            elif binding != "WEAK":
                symbols.undefined[name] = version or symbols.undefined.get(name, "")


def _compile(target: Path, versions: dict[str, list[str]]) -> None:
    source = ['__attribute__((visibility("hidden"))) long no_device(void) { return 100; }']
    source += [f'long {name}(void) __attribute__((alias("no_device")));' for names in versions.values() for name in names]
    script = [
        f"{version} {{ global: {' '.join(f'{name};' for name in names)} }};" for version, names in versions.items() if version
    ]
    map_file = target.with_name(target.name + ".map")
    map_file.write_text("\n".join(script))
    options = [f"-Wl,-soname,{target.name}", *([f"-Wl,--version-script={map_file}"] if script else [])]
    _run("gcc", "-shared", "-fPIC", "-w", "-O1", "-x", "c", "-", "-o", str(target), *options, stdin="\n".join(source))
    map_file.unlink()


def _run(*command: str, stdin: str = "") -> str:
    try:
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed: apt-get install gcc libc6-dev binutils") from None
    except subprocess.CalledProcessError as failed:
        raise ClusterError(f"{command[0]} failed: {failed.stderr[-1000:]}") from None
