"""What the garbage collector looks at."""

from __future__ import annotations

import gc


def settle() -> None:
    """Have the collector leave alone what is there now; what goes is still freed, by its count of references.

    For when all objects have been listed, which puts new ones in the place of all that were there: with 1,000 ModelDeployments
    each full collection would look through them again, and the event loop stand still for as long (make bench-autoscaler-loop
    prints the longest).
    """
    gc.collect()
    gc.freeze()
