"""MovieLens-1M, -10M and -100K in the files GroupLens publishes; later sets are tables (`recognise.py`)."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from training.data.columns import id_column, number_column, refuse_control, text_column
from training.data.lines import line_batches, read_lines
from training.data.raw import Interactions, RawTables, Table, no_users, texts_of
from training.errors import DataError

GENDERS = ("F", "M")

OCCUPATIONS_1M = (
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""The names its README gives to the codes 0 to 20."""

MAX_GENRES = 64
NO_GENRES = "(no genres listed)"


def is_movielens(folder: Path) -> bool:
    """Tell whether a folder has the ratings of one of the sets that are no tables."""
    return (folder / "ratings.dat").is_file() or (folder / "u.data").is_file()


def has_users(folder: Path) -> bool:
    """Tell whether a MovieLens folder says anything of its users: -10M and later sets do not."""
    return (folder / "users.dat").is_file() or (folder / "u.user").is_file()


def read_movielens(folder: Path, missing: Collection[str] = ()) -> RawTables:
    """Read whichever of the sets the folder holds; titles and groups of items are texts too.

    Args:
        folder: the files.
        missing: words that say that nothing is known of a user.

    Raises:
        DataError: neither is there, or a file is malformed.
    """
    raw = _read(folder, missing)
    return replace(raw, texts=texts_of(raw.items))


def _read(folder: Path, missing: Collection[str]) -> RawTables:
    if (folder / "ratings.dat").is_file():
        return _read_1m(folder, missing) if has_users(folder) else _read_10m(folder)
    if (folder / "u.data").is_file():
        return _read_100k(folder, missing)
    raise DataError(
        folder.name, "has no MovieLens ratings", allowed="ratings.dat (1M, 10M), u.data (100K) or ratings.csv"
    )


def _read_1m(folder: Path, missing: Collection[str]) -> RawTables:
    people = read_lines(folder / "users.dat", "::", ("user", "gender", "age", "occupation", "zip"))
    codes = [str(code) for code in range(len(OCCUPATIONS_1M))]
    people.refuse(
        ~people.frame["occupation"].is_in(["", *codes]), "occupation", "is not a code", allowed="0 to 20, or nothing"
    )
    jobs = people.frame["occupation"].replace(codes, OCCUPATIONS_1M)
    users = _users(people, people.frame.with_columns(jobs.alias("occupation")), missing)
    items = _movies(folder)
    interactions = _interactions(folder / "ratings.dat", "::", items)
    classes = {"gender": GENDERS, "occupation": OCCUPATIONS_1M}
    return RawTables(interactions, users, items, "MovieLens-1M", classes)


def _read_10m(folder: Path) -> RawTables:
    items = _movies(folder)
    interactions = _interactions(folder / "ratings.dat", "::", items)
    return RawTables(interactions, no_users("users.dat"), items, "MovieLens-10M")


def _movies(folder: Path) -> Table:
    movies = read_lines(folder / "movies.dat", "::", ("item", "title", "genres"))
    genres = movies.frame["genres"].replace(NO_GENRES, "")
    return _items(movies, genres.str.split("|"))


def _read_100k(folder: Path, missing: Collection[str]) -> RawTables:
    people = read_lines(folder / "u.user", "|", ("user", "age", "gender", "occupation", "zip"))
    genres = _genres(folder / "u.genre")
    flags = [f"genre {number}" for number in range(len(genres))]
    movies = read_lines(folder / "u.item", "|", ("item", "title", "released", "video", "url", *flags))
    for flag, genre in zip(flags, genres, strict=True):
        movies.refuse(~movies.frame[flag].is_in(["0", "1"]), flag, f"is not a flag (genre {genre})", allowed="0 or 1")
    named = [pl.when(pl.col(flag) == "1").then(pl.lit(genre)) for flag, genre in zip(flags, genres, strict=True)]
    items = _items(movies, movies.frame.select(groups=pl.concat_list(named).list.drop_nulls())["groups"])
    users = _users(people, people.frame, missing)
    return RawTables(_interactions(folder / "u.data", "\t", items), users, items, "MovieLens-100K", {"gender": GENDERS})


def _interactions(path: Path, separator: str, items: Table) -> Interactions:
    columns = ("user", "item", "rating", "timestamp")
    return Interactions(path.name, columns, lambda: _ratings(path, separator, columns, items))


def _ratings(path: Path, separator: str, columns: tuple[str, ...], items: Table) -> Iterator[Table]:
    """Sets list every film that was rated; a shorter list is a damaged file."""
    listed = items.frame["item"].unique().implode()
    before = ""
    for lines in line_batches(path, separator, columns):
        earlier, last = [before, *lines.frame["timestamp"].tail(2)][-2:]
        if not lines.ended and len(last) < len(earlier):
            problem = "has a timestamp shorter than the one before, and no end of line: the file is cut off"
            raise DataError(path.name, problem, line=lines.before + lines.frame.height)
        before = last
        ids = [id_column(lines, "user"), id_column(lines, "item")]
        lines.refuse(~ids[1].is_in(listed), "item", f"is not in {items.file}")
        rating = number_column(lines, "rating").cast(pl.Float64)
        frame = pl.DataFrame([*ids, rating, number_column(lines, "timestamp")])
        yield Table(path.name, frame, "line", lines.before)


def _users(people: Table, frame: pl.DataFrame, missing: Collection[str]) -> Table:
    table = Table(people.file, frame, people.unit)
    columns = [
        id_column(table, "user"),
        *(text_column(table, name, missing) for name in ("gender", "age", "occupation")),
    ]
    return Table(table.file, pl.DataFrame(columns), table.unit)


def _items(movies: Table, groups: pl.Series) -> Table:
    title = movies.frame["title"]
    refuse_control(movies, "title", title)
    refuse_control(movies, movies.frame.columns[-1], groups.list.join("|"))
    named = groups.list.filter(pl.element() != "").alias("groups")
    return Table(movies.file, pl.DataFrame([id_column(movies, "item"), title, named]), movies.unit)


def _genres(path: Path) -> list[str]:
    table = read_lines(path, "|", ("genre", "number"))
    refuse_control(table, "genre", table.frame["genre"])
    numbers = [str(number) for number in range(table.frame.height)]
    expected = pl.Series("number", numbers, dtype=pl.String)
    table.refuse(table.frame["number"] != expected, "number", "is out of order", allowed="0, 1, 2 …")
    if table.frame.height > MAX_GENRES:
        raise DataError(table.file, f"has {table.frame.height} genres", allowed=f"at most {MAX_GENRES}")
    return table.frame["genre"].to_list()
