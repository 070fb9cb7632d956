"""MovieLens-1M and -100K in the files GroupLens publishes."""

from pathlib import Path

import polars as pl

from training.data.columns import id_column, number_column, refuse_control, text_column
from training.data.lines import Lines, read_lines
from training.data.raw import Interactions, RawTables, Table
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


def is_movielens(folder: Path) -> bool:
    """Tell whether a folder has the ratings of one of the two sets."""
    return (folder / "ratings.dat").is_file() or (folder / "u.data").is_file()


def read_movielens(folder: Path) -> RawTables:
    """Read whichever of the two sets the folder holds.

    Raises:
        DataError: neither is there, or a file is malformed.
    """
    if (folder / "ratings.dat").is_file():
        return _read_1m(folder)
    if (folder / "u.data").is_file():
        return _read_100k(folder)
    raise DataError(folder.name, "has no MovieLens ratings", allowed="ratings.dat (1M) or u.data (100K)")


def _read_1m(folder: Path) -> RawTables:
    interactions = _interactions(read_lines(folder / "ratings.dat", "::", ("user", "item", "rating", "timestamp")))
    people = read_lines(folder / "users.dat", "::", ("user", "gender", "age", "occupation", "zip"))
    codes = [str(code) for code in range(len(OCCUPATIONS_1M))]
    people.refuse(
        ~people.frame["occupation"].is_in(["", *codes]), "occupation", "is not a code", allowed="0 to 20, or nothing"
    )
    jobs = people.frame["occupation"].replace(codes, OCCUPATIONS_1M)
    users = _users(people, people.frame.with_columns(jobs.alias("occupation")))
    movies = read_lines(folder / "movies.dat", "::", ("item", "title", "genres"))
    items = _items(movies, movies.frame["genres"].str.split("|"))
    _refuse_unlisted(interactions, items)
    classes = {"gender": GENDERS, "occupation": OCCUPATIONS_1M}
    return RawTables(Interactions.of(interactions), users, items, "MovieLens-1M", classes)


def _read_100k(folder: Path) -> RawTables:
    interactions = _interactions(read_lines(folder / "u.data", "\t", ("user", "item", "rating", "timestamp")))
    people = read_lines(folder / "u.user", "|", ("user", "age", "gender", "occupation", "zip"))
    genres = _genres(folder / "u.genre")
    flags = [f"genre {number}" for number in range(len(genres))]
    movies = read_lines(folder / "u.item", "|", ("item", "title", "released", "video", "url", *flags))
    for flag, genre in zip(flags, genres, strict=True):
        movies.refuse(~movies.frame[flag].is_in(["0", "1"]), flag, f"is not a flag (genre {genre})", allowed="0 or 1")
    named = [pl.when(pl.col(flag) == "1").then(pl.lit(genre)) for flag, genre in zip(flags, genres, strict=True)]
    items = _items(movies, movies.frame.select(groups=pl.concat_list(named).list.drop_nulls())["groups"])
    _refuse_unlisted(interactions, items)
    users = _users(people, people.frame)
    return RawTables(Interactions.of(interactions), users, items, "MovieLens-100K", {"gender": GENDERS})


def _interactions(ratings: Lines) -> Table:
    last = ratings.frame["timestamp"].str.len_chars().tail(2).to_list()
    if not ratings.ended and len(last) == 2 and last[1] < last[0]:
        problem = "has a timestamp shorter than the one before, and no end of line: the file is cut off"
        raise DataError(ratings.file, problem, line=ratings.frame.height)
    columns = [id_column(ratings, "user"), id_column(ratings, "item")]
    rating = number_column(ratings, "rating").cast(pl.Float64)
    return Table(ratings.file, pl.DataFrame([*columns, rating, number_column(ratings, "timestamp")]), "line")


def _users(people: Table, frame: pl.DataFrame) -> Table:
    table = Table(people.file, frame, people.unit)
    columns = [id_column(table, "user"), *(text_column(table, name) for name in ("gender", "age", "occupation"))]
    return Table(table.file, pl.DataFrame(columns), table.unit)


def _items(movies: Table, groups: pl.Series) -> Table:
    title = movies.frame["title"]
    refuse_control(movies, "title", title)
    refuse_control(movies, movies.frame.columns[-1], groups.list.join("|"))
    named = groups.list.filter(pl.element() != "").alias("groups")
    return Table(movies.file, pl.DataFrame([id_column(movies, "item"), title, named]), movies.unit)


def _refuse_unlisted(interactions: Table, items: Table) -> None:
    """Both sets list every film that was rated; a shorter list is a damaged file."""
    listed = interactions.frame["item"].is_in(items.frame["item"].unique().implode())
    interactions.refuse(~listed, "item", f"is not in {items.file}")


def _genres(path: Path) -> list[str]:
    table = read_lines(path, "|", ("genre", "number"))
    refuse_control(table, "genre", table.frame["genre"])
    numbers = [str(number) for number in range(table.frame.height)]
    expected = pl.Series("number", numbers, dtype=pl.String)
    table.refuse(table.frame["number"] != expected, "number", "is out of order", allowed="0, 1, 2 …")
    if table.frame.height > MAX_GENRES:
        raise DataError(table.file, f"has {table.frame.height} genres", allowed=f"at most {MAX_GENRES}")
    return table.frame["genre"].to_list()
