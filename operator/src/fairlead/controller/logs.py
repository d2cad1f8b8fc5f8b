"""Logs: one JSON object a line, the same for the operator's own words and those of its libraries."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

key_in_hand: ContextVar[str] = ContextVar("key_in_hand", default="")
"""The ModelDeployment that the present task works on, as namespace/name: each line it logs carries it."""

_QUIET = {
    # Tells of every handler call at INFO; a pod's life is some dozen of them.
    "kopf.objects": logging.WARNING,
    # Requests with their headers, the Authorization among them, at DEBUG.
    "kubernetes": logging.INFO,
    "kubernetes.aio.client.rest": logging.INFO,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
}


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, and key and error where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Only these fields: what else a library attaches to a record may hold anything."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if key := getattr(record, "key", "") or key_in_hand.get() or _kopf_key(record):
            line["key"] = key
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _kopf_key(record: logging.LogRecord) -> str:
    """The object that kopf speaks of."""
    ref = getattr(record, "k8s_ref", None) or {}
    return "/".join(filter(None, (ref.get("namespace"), ref.get("name"))))


def without_the_last_words_of_watches(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler: as its own, but kopf's watches are silent where the end meets them at an event.

    Its generator for a watch cannot be closed there (RuntimeError, "generator didn't stop after athrow()"), of which asyncio
    would write a traceback for each watch. Nothing is lost: the operator has stopped working by then.
    """
    if not ("asyncgen" in context and isinstance(context.get("exception"), RuntimeError)):
        loop.default_exception_handler(context)


def configure(level: str) -> None:
    """Send all loggers through one handler on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)
