"""The limits of a bundle: ids, names, classes, sizes.

Who reads data asks here too, so that nothing is trained that could not be written, and no rule stands in two places.
"""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bundle.columns import numbers

LONGEST_ID = 256
LONGEST_NAME = 64
ATTRIBUTE_NAME = rf"[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}"
"""The whole of a name."""
NAME_ALLOWED = f"1 to {LONGEST_NAME} characters: a letter a-z, then letters a-z, digits and _"
MOST_ATTRIBUTES = 64
FEWEST_CLASSES, MOST_CLASSES = 2, 10_000
MOST_GROUPS = 10_000
"""Of items."""
MOST_SIZES = 64
"""Of the layers, or parts, that a network lists under one name."""
LARGEST_SIZE = 2**24
"""Of a dimension or a layer; with at most 4096 parts the bytes of one layer stay below 2**63."""

ID_ALLOWED = f"1 to {LONGEST_ID} characters that can be printed"


class UnfitId(NamedTuple):
    """An id that no bundle holds."""

    place: int
    """In the column."""
    id: str
    problem: str
    """The fault, as the end of a sentence that starts with the id."""


def unfit_places(ids: Any) -> NDArray[np.intp]:
    """Where the ids are that no bundle can hold; that ids are unique is not looked at.

    Most ids are ASCII, which Arrow can tell of all at once; of the rest, each once, Python says what can be printed.

    Args:
        ids: an Arrow array of strings without nulls.
    """
    lengths, plain = numbers(pc.binary_length(ids)), numbers(pc.ascii_is_printable(ids).cast("uint8"))
    unusual: NDArray[np.intp] = ((plain == 0) | (lengths == 0) | (lengths > LONGEST_ID)).nonzero()[0]
    if not len(unusual):
        return unusual  # `pa.array` imports pandas, which takes longer than all the rest of a first activation
    coded = ids.take(pa.array(unusual)).dictionary_encode()
    unfit = np.array([_problem(text) is not None for text in coded.dictionary.to_pylist()], np.bool_)
    places: NDArray[np.intp] = unusual[unfit[numbers(coded.indices)]]
    return places


def first_unfit(ids: Any) -> UnfitId | None:
    """The first id that no bundle can hold; ``ids`` as of `unfit_places`."""
    places = unfit_places(ids)
    if not len(places):
        return None
    text = ids[int(places[0])].as_py()
    return UnfitId(int(places[0]), text, str(_problem(text)))


def _problem(text: str) -> str | None:
    if not text:
        return "is empty"
    if len(text) > LONGEST_ID:
        return f"has {len(text)} characters"
    odd = next((character for character in text if not character.isprintable()), None)
    if odd is None:
        return None
    name = unicodedata.name(odd, "")
    return f"has a character that cannot be printed, U+{ord(odd):04X}{name and f' ({name})'}"
