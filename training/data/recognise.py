"""What a folder seems to hold, as the configuration that reads it: `data check` prints it, `auto` follows it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from training.data.classes import MAX_CLASSES
from training.data.config import AGE_EDGES, MISSING
from training.data.csv_form import TEXT_ENDINGS, CsvForm
from training.data.dataset import NAME_ALLOWED, can_name
from training.data.files import PARQUET, TableFile, only, open_table
from training.data.movielens import NO_GENRES
from training.data.sniff import guess_form, has_no_header
from training.data.text_blocks import unpacked_name
from training.errors import DataError

FILES = {
    "interactions": ("interactions", "ratings", "inter", "events"),
    "users": ("users", "user", "people", "customers"),
    "items": ("items", "item", "movies", "books", "products"),
}
"""Last words of a file's name, before its ending or as it; the first that is there counts."""

USER = ("user", "userid", "uid", "customer", "customerid", "reviewerid", "visitorid")
ITEM = (
    "item",
    "itemid",
    "movie",
    "movieid",
    "book",
    "bookid",
    "isbn",
    "product",
    "productid",
    "asin",
    "track",
    "trackid",
)
RATING = ("rating", "ratings", "stars", "score", "bookrating")
TIMESTAMP = ("timestamp", "time", "datetime", "date", "ts", "unixreviewtime")
TITLE = ("title", "name", "movietitle", "booktitle", "itemname", "itemtitle", "productname")
GROUPS = ("groups", "genres", "genre", "class", "categories", "category", "tags")

FEW = 12
"""A column of numbers with more values than this, that is called age, is cut."""
_TYPE = re.compile(r":(token|float|token_seq|float_seq)$")


@dataclass(frozen=True)
class _Found:
    """A file, and what the configuration says to read it."""

    file: TableFile
    path: Path
    form: CsvForm

    @property
    def fields(self) -> dict[str, Any]:
        form = self.form.model_dump(exclude_defaults=True)
        return {"file": self.path.name} | ({"csv": form} if form else {})


def recognise_tables(folder: Path, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Guess how to read a folder as three tables.

    Args:
        folder: the data.
        said: what the configuration says, which is not guessed.

    Returns:
        Fields of a `TablesConfig` but for what was said; without `attributes` where there is no users table. None where
        there are no interactions.

    Raises:
        DataError: a file cannot be read, or a column is not found.
    """
    interactions = _open(folder, "interactions", said)
    if interactions is None:
        return None
    users, items = _open(folder, "users", said), _open(folder, "items", said)
    named = said.get("interactions", {})
    columns = interactions.file.columns
    user = named.get("user") or _column(interactions, USER, "interactions", "user")
    item = named.get("item") or _column(interactions, ITEM, "interactions", "item")
    found: dict[str, Any] = {"interactions": interactions.fields | {"user": user, "item": item}}
    for name, known in (("rating", RATING), ("timestamp", TIMESTAMP)):
        if column := named.get(name) or _among(columns, known):
            found["interactions"][name] = column
    if users is not None:
        own = said.get("users", {}).get("user") or _column(users, (*USER, "id"), "users", "user", user)
        found["users"] = users.fields | {"user": own}
        if said.get("attributes") is None:
            found["attributes"] = _attributes(users, own, said)
    if items is not None:
        own = said.get("items", {}).get("item") or _column(items, (*ITEM, "id"), "items", "item", item)
        found["items"] = items.fields | {"item": own} | _texts(items, said.get("items", {}))
    if "movieId" in columns:  # GroupLens: half stars, and words for no genre
        found |= {"positive_at_least": 4.0, "min_positives": 3, "missing": [*MISSING, NO_GENRES]}
    return found


def _open(folder: Path, kind: str, said: Mapping[str, Any]) -> _Found | None:
    path = _find(folder, FILES[kind], said.get(kind, {}).get("file"))
    if path is None:
        return None
    form = said.get(kind, {}).get("csv") or said.get("csv")
    if path.suffix.lower() == PARQUET:
        return _Found(open_table(path, CsvForm()), path, CsvForm())
    if form is not None:
        chosen = CsvForm.model_validate(form)
    else:
        chosen, rows = guess_form(path)
        if kind == "interactions" and has_no_header(rows) and len(rows[0]) in (2, 3, 4):
            names = ("user", "item", "rating", "timestamp")[: len(rows[0])]
            chosen = chosen.model_copy(update={"columns": names})
    return _Found(open_table(path, chosen), path, chosen)


def _find(folder: Path, words: Iterable[str], file: str | None) -> Path | None:
    if file is not None:
        return folder / file
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "~")))
    for word in words:
        if found := only(folder, [path for path in files if word in _words(path)]):
            return found
    return None


def _words(path: Path) -> tuple[str, ...]:
    """The last word of a table's name and its ending; nothing for a file that is no table."""
    stem, dot, ending = unpacked_name(path.name).rpartition(".")
    if not stem or dot + ending not in (*TEXT_ENDINGS, PARQUET):
        return ()
    return (re.split(r"[^a-z0-9]+", stem)[-1], ending)


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _TYPE.sub("", column).lower())


def _among(columns: Iterable[str], known: Iterable[str]) -> str | None:
    plain = {_plain(column): column for column in reversed(list(columns))}
    return next((plain[name] for name in known if name in plain), None)


def _column(found: _Found, known: Iterable[str], table: str, name: str, same: str = "") -> str:
    """The column of ids: called as in the interactions, or by a known name."""
    if same in found.file.columns:
        return same
    column = _among(found.file.columns, known)
    if column is None:
        there = ", ".join(found.file.columns[:20])
        allowed = f"its name in the configuration, [data.{table}] {name} = …, of: {there}"
        raise DataError(found.file.name, f"has no column that seems to hold the {name}", allowed=allowed)
    return column


def _texts(items: _Found, named: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of titles and groups, and what stands between groups."""
    found: dict[str, Any] = {}
    if title := named.get("title") or _among(items.file.columns, TITLE):
        found["title"] = title
    if groups := named.get("groups") or _among(items.file.columns, GROUPS):
        found["groups"] = groups
        first = next(items.file.batches([groups])).frame[groups]
        if "separator" not in named and first.dtype == pl.String:
            marks = " " if groups.endswith(":token_seq") else "|;,"
            counts = {mark: int(first.str.count_matches(mark, literal=True).sum() or 0) for mark in marks}
            found["separator"] = max(counts, key=counts.__getitem__)
    return found


def _numbers(texts: pl.Series, form: CsvForm) -> pl.Series:
    return texts.str.replace(form.decimal, ".", literal=True).cast(pl.Float64, strict=False)


def _attributes(users: _Found, own: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Every column that can be an attribute: text or numbers of two classes or more, and not too many.

    The reader counts the others as left out, by name.
    """
    words = ["", *said.get("missing", MISSING)]
    found: dict[str, Any] = {}
    for column in users.file.columns:
        if column == own or column.endswith((":token_seq", ":float_seq")):
            continue
        values = users.file.whole([column]).frame[column]
        number = values.dtype.is_numeric() and not values.dtype.is_decimal()
        if not (number or values.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)):
            continue
        texts = values.cast(pl.String).str.strip_chars().drop_nulls()
        texts = texts.filter(~texts.is_in(words))
        name = re.sub(r"\W+", "_", _TYPE.sub("", column).lower(), flags=re.ASCII).strip("_")
        values_found, numbers = texts.n_unique(), _numbers(texts, users.form)
        cut = name.split("_")[0] == "age" and values_found > FEW and not numbers.has_nulls()
        many = values_found > MAX_CLASSES or (values_found > FEW and 2 * values_found > len(texts))
        if values_found < 2 or (many and not cut):
            continue  # many: numbers of rows, other ids; most users have a value of their own
        if not can_name(name) or name in found:
            problem = f"of {len(column)} characters gives an attribute no name" + (
                " of its own" if name in found else ""
            )
            way = f"{NAME_ALLOWED}; or in the configuration: [data.attributes] NAME = {{ column = {column!r} }}"
            raise DataError(users.file.name, problem, value=column, allowed=way)
        found[name] = ({} if name == column else {"column": column}) | ({"edges": list(AGE_EDGES)} if cut else {})
    return found
