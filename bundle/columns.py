"""Ids, titles and groups of millions of rows as columns: a Python object is made of an entry when it is used, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

T_co = TypeVar("T_co", covariant=True)

REMEMBERED = 65_536
"""Texts of a column that are kept as Python has them, some 130 bytes each."""
ROWS_REMEMBERED = 16_384
"""Texts of which it is kept where they are, some 200 bytes each."""
_AT_A_TIME = 65_536
_PRIME = 0x9E37_79B9_7F4A_7C15
_WORD = 0xFFFF_FFFF_FFFF_FFFF


def numbers(array: Any) -> NDArray[Any]:
    """An Arrow array of numbers without empty values as NumPy's, over the same memory.

    Its own ``to_numpy`` imports pandas where that is installed: .2 s and 30 MiB of a start.
    """
    found: NDArray[Any] = np.from_dlpack(array)
    return found


class Column(Sequence[T_co]):
    """A sequence that is equal to any other with the same values."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list


class Texts(Column[str]):
    """A column of text, held as Arrow does: all bytes in a row, and where each text begins."""

    def __init__(self, array: Any) -> None:
        """Take an Arrow array of strings without empty values."""
        self.array = array
        self._met: dict[int, str] = {}

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """The same texts as a column; a column is taken as it is."""
        return texts if isinstance(texts, Texts) else cls(pa.array(texts, pa.string()))

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | slice) -> str | Texts:
        if isinstance(place, slice):
            return Texts(self.array[place])
        text = self._met.get(place)
        if text is None:  # making it takes some .5 µs, and most lists name the same few items
            if len(self._met) >= REMEMBERED:
                self._met.clear()
            text = self._met[place] = str(self.array[place].as_py())
        return text

    def some(self, places: Sequence[int]) -> list[str]:
        """The texts at some places."""
        met = self._met
        return [met.get(place) or self[place] for place in places]

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.array), _AT_A_TIME):
            yield from self.array.slice(start, _AT_A_TIME).to_pylist()

    def raw(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Where the UTF-8 bytes of each text begin, (n + 1,), and the bytes."""
        _, ends, data = self.array.buffers()
        first, count = self.array.offset, len(self.array)
        if not count:
            return np.zeros(1, np.int32), np.zeros(0, np.uint8)
        return np.frombuffer(ends, np.int32)[first : first + count + 1], np.frombuffer(data or b"", np.uint8)


def some(texts: Sequence[str], places: Sequence[int]) -> list[str]:
    """The texts at some places, of a column or of any other sequence."""
    return texts.some(places) if isinstance(texts, Texts) else [texts[place] for place in places]


def missing(texts: Sequence[str], known: Sequence[str]) -> int:
    """How many of ``texts`` are not among ``known``."""
    found = pc.is_in(Texts.of(texts).array, value_set=Texts.of(known).array)
    return len(texts) - int(pc.sum(found).as_py() or 0)


class Groups(Column[tuple[str, ...]]):
    """The groups of each row: every name once, and numbers for the rows."""

    def __init__(self, names: tuple[str, ...], indptr: NDArray[np.int64], places: NDArray[np.int32]) -> None:
        """Take the arrays that `of` makes.

        Args:
            names: of all groups, ascending.
            indptr: (n + 1,).
            places: groups of row i: ``places[indptr[i]:indptr[i + 1]]``, as places in ``names``.
        """
        self.names = names
        self.indptr = indptr
        self.places = places
        self._place = {name: place for place, name in enumerate(names)}

    @classmethod
    def of(cls, groups: Sequence[Sequence[str]]) -> Groups:
        """The same groups as a column; a column is taken as it is."""
        if isinstance(groups, Groups):
            return groups
        return cls.of_lists(pa.array([list(names) for names in groups], pa.list_(pa.string())))

    @classmethod
    def of_lists(cls, lists: Any) -> Groups:
        """From an Arrow array of lists of strings without empty values."""
        coded = lists.flatten().dictionary_encode()
        met = coded.dictionary.to_pylist()
        order = sorted(range(len(met)), key=met.__getitem__)
        place = np.empty(len(met), np.int32)
        place[order] = np.arange(len(met), dtype=np.int32)
        indptr = numbers(lists.offsets).astype(np.int64)
        return cls(tuple(met[code] for code in order), indptr - indptr[:1], place[numbers(coded.indices)])

    @overload
    def __getitem__(self, row: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, row: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        if isinstance(row, slice):
            return [self[each] for each in range(len(self))[row]]
        row = range(len(self))[row]
        return tuple(self.names[place] for place in self.places[self.indptr[row] : self.indptr[row + 1]].tolist())

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def has(self, name: str) -> bool:
        """Whether any row is in this group."""
        return name in self._place

    def rows(self, name: str) -> NDArray[np.int64]:
        """Rows in a group, one of `names`, ascending."""
        entries = np.flatnonzero(self.places == self._place[name])
        return np.searchsorted(self.indptr, entries, side="right") - 1


class Rows(Mapping[str, int]):
    """Text → its row in a column of different texts.

    Hashes of all texts are put in order of bucket at once: no object for each text, 8 bytes a row, and one or two texts
    looked at for an answer.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the texts."""
        self._texts = Texts.of(texts)
        offsets, raw = self._texts.raw()
        bits = max(1, len(self._texts).bit_length())
        self._shift = 64 - bits
        self._longest = int(np.diff(offsets).max(initial=0))
        buckets = np.empty(len(self._texts), np.uint32)
        for start in range(0, len(buckets), _AT_A_TIME):
            block = slice(start, start + _AT_A_TIME)
            buckets[block] = _hashes(offsets[start : start + _AT_A_TIME + 1], raw) >> np.uint64(self._shift)
        starts = np.zeros(2**bits + 1, np.int32)
        np.cumsum(np.bincount(buckets, minlength=2**bits), out=starts[1:])
        # Single numbers are read several times faster from these than from arrays.
        self._order = np.argsort(buckets).astype(np.int32).data
        self._starts, self._offsets, self._raw = starts.data, offsets.data, raw.data
        self._met: dict[str, int] = {}

    def get(self, text: str, default: Any = None) -> Any:
        """The row of a text, or ``default``."""
        row = self._met.get(text)
        if row is None:  # to find it takes five times as long, and who asks asks again
            try:
                row = self[text]
            except KeyError:
                return default
            if len(self._met) >= ROWS_REMEMBERED:
                self._met.clear()
            self._met[text] = row
        return row

    def __getitem__(self, text: str) -> int:
        if not isinstance(text, str):
            raise KeyError(text)
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) <= self._longest:
            bucket = _hash(raw) >> self._shift
            for row in self._order[self._starts[bucket] : self._starts[bucket + 1]]:
                if self._raw[self._offsets[row] : self._offsets[row + 1]] == raw:
                    return row
        raise KeyError(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _hash(raw: bytes) -> int:
    """64 bits, the upper ones better mixed than the lower: Fibonacci hashing, word by word."""
    mixed = len(raw)
    for start in range(0, len(raw), 8):
        mixed = (mixed ^ int.from_bytes(raw[start : start + 8], "little")) * _PRIME & _WORD
        mixed ^= mixed >> 32
    return mixed


def _hashes(offsets: NDArray[np.int32], raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """`_hash` of every text."""
    lengths = np.diff(offsets)
    mixed = lengths.astype(np.uint64)
    offsets = offsets.astype(np.int64)
    padded = np.concatenate([raw[offsets[0] : offsets[-1]], np.zeros(8, np.uint8)])
    words: NDArray[np.uint64] = np.ndarray(len(padded) - 7, "<u8", buffer=padded.data, strides=(1,))  # at each byte
    offsets -= offsets[0]
    for start in range(0, int(lengths.max(initial=0)), 8):
        rows = np.flatnonzero(lengths > start)
        beyond = 8 * np.maximum(0, start + 8 - lengths[rows]).astype(np.uint64)  # bits of the next text
        word = words[offsets[rows] + start] & (np.uint64(_WORD) >> beyond)
        part = (mixed[rows] ^ word) * np.uint64(_PRIME)
        mixed[rows] = part ^ (part >> np.uint64(32))
    return mixed
