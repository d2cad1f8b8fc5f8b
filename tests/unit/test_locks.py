"""What this repository installs is locked by hash, and comes from wherever the machine at hand gets its packages."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: One version, and the hashes of its files.
_LOCKED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+(\s+;[^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
#: An option or setting that names an index, with something that it names, or a link to a list of packages.
_INDEX = re.compile(
    r"--(?:extra-)?index-url[= ]\S+|--find-links[= ]\S+|--trusted-host[= ]\S+|GOPROXY=\S+|https?://[^\s\"'`<>)]+/simple\b"
)
#: Files that speak of such settings without having one.
_SPEAKING = {"tests/unit/cluster/test_pip_settings.py", "tests/unit/test_locks.py"}


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [each for each in listed.stdout.split("\0") if each and (ROOT / each).is_file()]


FILES = files()
LOCKS = [
    each
    for each in FILES
    if each.endswith("/requirements.txt") or (each.startswith("tests/cluster/images/") and each.endswith(".txt"))
]


def entries(lock: str) -> list[str]:
    """The lines of a lock file, those that a backslash joins as one, without comments."""
    lines = [line.strip() for line in lock.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def unlocked(lock: str) -> list[str]:
    """Entries that are not one version with the hashes of its files."""
    return [each for each in entries(lock) if not _LOCKED.fullmatch(each)]


def test_each_requirements_in_has_its_lock() -> None:
    written = {each.removesuffix("requirements.in") for each in FILES if each.endswith("/requirements.in")}
    assert written == {each.removesuffix("requirements.txt") for each in LOCKS if each.endswith("/requirements.txt")}
    makefile = (ROOT / "Makefile").read_text()
    (folders,) = re.findall(r"foreach d,([^,]+),\(cd \$\(d\) && \$\(PIP_COMPILE\)", makefile)
    assert {f"{each}/" for each in folders.split()} == written


@pytest.mark.parametrize("asked", [each for each in FILES if each.endswith("/requirements.in")])
def test_the_readme_says_what_each_is_for(asked: str) -> None:
    rows = re.findall(r"^\|(.+?)\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    told = {word for row in rows for word in re.findall(r"[a-z0-9_-]+", row.lower().replace("_", "-"))}
    names = {re.split(r"[=\[]", line)[0].lower() for line in entries((ROOT / asked).read_text()) if not line.startswith("-r ")}
    assert names
    assert names <= told


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_one_version_with_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert entries(text)
    assert unlocked(text) == []


@pytest.mark.parametrize(
    "entry",
    [
        "attrs==26.1.0\n",
        "attrs==26.1.0 \\\n    --hash=md5:c647\n",
        "attrs>=26.1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n",
        "attrs @ https://example.org/attrs.whl\n",
        "--extra-index-url https://example.org\n",
    ],
)
def test_an_entry_without_version_or_hash_is_seen(entry: str) -> None:
    good = f"six==1.0 \\\n    --hash=sha256:{'a' * 64}\n    # via attrs\n"
    assert unlocked(good) == []
    assert unlocked(f"# a comment\n{entry}{good}") == entries(entry)


def test_no_file_names_an_index() -> None:
    found = {}
    for each in FILES:
        if each not in _SPEAKING and (named := _INDEX.findall((ROOT / each).read_text(errors="replace"))):
            found[each] = named
    assert found == {}


@pytest.mark.parametrize(
    "text", ["pip install --index-url=https://example.org/x", "ENV GOPROXY=direct", "https://example.org/simple/"]
)
def test_an_index_is_seen(text: str) -> None:
    assert _INDEX.search(text)


def test_the_readme_says_of_each_package_why_it_is_there() -> None:
    readme = (ROOT / "README.md").read_text().partition("## Dependencies")[2].partition("## Documentation")[0].lower()
    asked = {
        re.split(r"[=\[<>~]", line)[0].lower()
        for each in FILES
        if each.endswith("/requirements.in")
        for line in (ROOT / each).read_text().split("\n")
        if line and not line.startswith(("#", "-"))
    }
    assert len(asked) > 20
    assert {each for each in asked if not re.search(rf"^\|[^|]*\b{re.escape(each)}\b[^|]*\|.*\w", readme, re.MULTILINE)} == set()


def test_a_go_module_has_the_sums_of_what_it_needs() -> None:
    modules = [each for each in FILES if each.endswith("/go.mod")]
    assert modules
    for each in modules:
        needed = re.findall(r"^\s+(\S+) (v\S+)(?: // indirect)?$", (ROOT / each).read_text(), re.MULTILINE)
        sums = (ROOT / each).with_name("go.sum").read_text()
        # A module that is replaced by a folder or another one is summed under that name.
        replaced = set(re.findall(r"^\s*(?:replace )?(\S+)(?: v\S+)? => ", (ROOT / each).read_text(), re.MULTILINE))
        assert [f"{name} {version}" for name, version in needed if name not in replaced and f"{name} {version}" not in sums] == []
