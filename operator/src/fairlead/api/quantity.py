"""Kubernetes quantities: 500m, 2, 128Mi, 1e3."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

_QUANTITY = re.compile(r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?P<suffix>[eE][+-]?[0-9]{1,3}|[KMGTPE]i|[numkMGTPE]|)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: int | str) -> Fraction:
    """The exact value.

    Raises:
        ValueError: this is no quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write a number with a suffix, such as 500m, 2, 128Mi or 4Gi")
    suffix = match["suffix"]
    if suffix in _BINARY:
        factor = Fraction(2 ** _BINARY[suffix])
    else:
        factor = Fraction(10) ** (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))
    return Fraction(match["number"]) * factor


def to_bytes(text: int | str) -> int:
    """A quantity of memory in whole bytes, rounded up as Kubernetes does.

    Raises:
        ValueError: this is no quantity.
    """
    return math.ceil(parse_quantity(text))


def same_quantity(one: int | str, other: int | str) -> bool:
    """Whether both say the same amount; what is no quantity is only the same as itself."""
    try:
        return parse_quantity(one) == parse_quantity(other)
    except ValueError:
        return one == other
