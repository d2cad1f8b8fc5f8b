"""Run by the engine's own Python, which has huggingface_hub: downloads one commit of one repository, and tells how it goes.

A program of its own: it is another Python, its memory goes back when it ends, and when it hangs it can be killed. It writes one
JSON object a line to stdout: {"commit", "bytes"} once it knows what there is, and then {"whole"}, or {"failed", "detail"}. Its
arguments hold no secret: the token is in a file.
"""

from __future__ import annotations

import argparse
import errno
import functools
import json
import os
import shutil
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

#: At a time. More gain nothing on one connection to the world, and each is a thread with its buffers.
FILES_AT_A_TIME = 4
#: Bytes that are written at a time. What came after the last of them is lost with a connection: with the library's own 10 MB a
#: line on which each connection is cut before that would never bring anything, and a slow one would look as if it hung.
PIECE_BYTES = 2**20
#: Seconds for the one question of what there is.
_LIST_SECONDS = 30.0
#: What an engine reads. Pickled weights (.bin, .pt, .pth) and .py are code.
SUFFIXES = (".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".txt")
_WEIGHTS = ".safetensors"
_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class Failure(Exception):  # noqa: N818  what happened, not a fault of ours
    """Why it cannot go on: a word for the parent, and what it needs to tell it."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


def wanted(names: Iterable[str]) -> list[str]:
    """The files to download: weights, configuration and tokenizer, in the repository's root, where engines look for them."""
    return sorted(name for name in names if "/" not in name and not name.startswith(".") and name.endswith(SUFFIXES))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the last one first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def failure_of(error: BaseException, *, with_token: bool, begun: bool) -> Failure:
    """What an error of the library means. `begun`: bytes have come before."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ImportError):
        return Failure("no-library", _words(error))
    from huggingface_hub import errors  # noqa: PLC0415  half a second of imports, told as a failure if there is none

    gone = "interrupted" if begun else "unreachable"
    causes = list(chain(error))
    # A refusal may be wrapped in an error that says no more than that a file was not to be had. The first is also the second.
    refusals = {
        errors.GatedRepoError: "access-denied" if with_token else "token-required",
        errors.RepositoryNotFoundError: "no-repository",
        errors.RevisionNotFoundError: "no-revision",
    }
    for kind, word in refusals.items():
        if any(isinstance(each, kind) for each in causes):
            return Failure(word)
    answered = next((each for each in causes if isinstance(each, errors.HfHubHTTPError)), None)
    if answered is not None:
        return _http(answered.response, with_token=with_token, gone=gone)
    full = any(isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT) for each in causes)
    # What it came from first: the library's own words for it are three lines about caches.
    cut = next((each for each in reversed(causes) if _of_network(each, errors)), None)
    if full or cut is None:
        return Failure("full") if full else Failure("failed", _words(error))
    return Failure(gone, _words(cut))


def _http(response: Any, *, with_token: bool, gone: str) -> Failure:
    status = int(response.status_code)
    said = str(response.headers.get("X-Error-Message") or "")
    if status == _UNAUTHORIZED:
        return Failure("token-refused" if with_token else "token-required", said)
    if status == _FORBIDDEN:
        return Failure("access-denied", said)
    return Failure(gone, f"HTTP {status}" + (f": {said}" if said else ""))


def _of_network(error: BaseException, errors: Any) -> bool:
    """Whether it may pass: no name, no connection, a cut one, fewer bytes than there should be."""
    if isinstance(error, ConnectionError | TimeoutError | ssl.SSLError | errors.LocalEntryNotFoundError):
        return True
    if type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
        return True
    return isinstance(error, OSError) and str(error).startswith("Consistency check failed")


def _words(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def on_disk(folder: Path) -> int:
    """Bytes of all files in a folder, whole or not."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).stat().st_size
            except OSError:  # moved to its place meanwhile
                continue
    return total


def run(options: argparse.Namespace, token: str) -> None:
    """Raises Failure, or what the library raised before there were any bytes."""
    from huggingface_hub import HfApi, constants, hf_hub_download  # noqa: PLC0415  as above

    constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES
    known = token or False  # False: no token of the image's either
    info = HfApi(endpoint=options.endpoint, token=known).model_info(
        options.repository, revision=options.commit or options.revision, files_metadata=True, timeout=_LIST_SECONDS
    )
    sizes = {each.rfilename: int(each.size or 0) for each in info.siblings or ()}
    files = wanted(sizes)
    if not any(name.endswith(_WEIGHTS) for name in files):
        raise Failure("no-safetensors")
    total = sum(sizes[name] for name in files)
    _tell(commit=info.sha, bytes=total)
    options.folder.mkdir(parents=True, exist_ok=True)
    there = on_disk(options.folder)
    free = shutil.disk_usage(options.folder).free
    if total - there > free:
        raise Failure("full", f"{free + there}")
    fetch = functools.partial(
        hf_hub_download,
        options.repository,
        revision=info.sha,
        local_dir=options.folder,
        token=known,
        endpoint=options.endpoint,
    )
    pool = ThreadPoolExecutor(FILES_AT_A_TIME, thread_name_prefix="download")
    try:
        for each in as_completed([pool.submit(fetch, filename=name) for name in files]):
            each.result()
    except Exception as error:
        # The other threads may be in the middle of a file, for hours; what they have stays on the disk.
        pool.shutdown(wait=False, cancel_futures=True)
        raise failure_of(error, with_token=bool(token), begun=True) from error
    pool.shutdown()
    _tell(whole=True)


def _tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _end(failure: Failure, token: str) -> NoReturn:
    detail = failure.detail.replace(token, "***") if token else failure.detail
    _tell(failed=failure.kind, detail=detail[:300])
    sys.stderr.flush()
    os._exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Download a model's files.")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--commit", default="", help="what the revision stood for when the download was begun")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--token-file", type=Path)
    options = parser.parse_args(arguments)
    token = options.token_file.read_text(encoding="utf-8").strip() if options.token_file else ""
    try:
        run(options, token)
    except Exception as error:  # noqa: BLE001  whatever it is, the parent must be told
        _end(failure_of(error, with_token=bool(token), begun=False), token)


if __name__ == "__main__":
    main()
