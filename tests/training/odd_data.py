"""Small data with something odd about it, as three tables: ids, labels, histories, ratings and times of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

INVISIBLE = "\xa0\u200b\u200d\ufeff\u202e\u2028\x00\x07\n\x7f\xad\U000e0041"
PRINTABLE = ["ä", "日本", "😀", "e\u0301", "ß", "Ω", "'", '"', ",", ";", "|", "#", "-1", "1e5", "0x1", "NULL", "nan"]
NO_NAMES = ["Age Group", "größe", "1st", "a\u200bb", "a-b", " "]


@dataclass
class Tables:
    """What is written: users with labels, items, and who met what, when."""

    users: list[str]
    items: list[str]
    labels: dict[str, list[str | None]]
    rows: list[tuple[str, str]]
    ratings: list[float | None] | None = None
    times: list[float] | list[int] | None = None
    titles: list[str | None] | None = None
    groups: list[str | None] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    """Of ``[data]``."""

    def write(self, folder: Path, form: str) -> None:
        """As ``.csv`` or ``.parquet``."""
        interactions: dict[str, object] = {"user": [user for user, _ in self.rows], "item": [i for _, i in self.rows]}
        interactions |= {} if self.ratings is None else {"rating": pl.Series(self.ratings, dtype=pl.Float64)}
        interactions |= {} if self.times is None else {"timestamp": self.times}
        items: dict[str, object] = {"item": self.items}
        items |= {} if self.titles is None else {"title": pl.Series(self.titles, dtype=pl.String)}
        items |= {} if self.groups is None else {"groups": pl.Series(self.groups, dtype=pl.String)}
        labels = {name: pl.Series(values, dtype=pl.String) for name, values in self.labels.items()}
        for name, columns in (
            ("users", {"user": self.users, **labels}),
            ("items", items),
            ("interactions", interactions),
        ):
            frame, path = pl.DataFrame(columns, strict=False), folder / f"{name}.{form}"
            frame.write_csv(path) if form == "csv" else frame.write_parquet(path)


def ordinary(rng: random.Random) -> Tables:
    """Nothing odd but its size."""
    users = [str(user) for user in range(1, 1 + rng.choice([24, 40, 90]))]
    items = [str(item) for item in range(1, 1 + rng.choice([6, 20, 120]))]
    most = min(12, len(items))
    rows = [(user, item) for user in users for item in rng.sample(items, rng.randint(min(4, most), most))]
    classes = {name: rng.randint(2, 3) for name in ("gender", "age", "job")[: rng.randint(1, 3)]}
    labels = {name: [f"c{rng.randrange(count)}" for _ in users] for name, count in classes.items()}
    tables = Tables(users, items, labels, rows, times=list(range(len(rows))))
    tables.titles = [f"Title {item}" for item in items]
    tables.groups = [rng.choice(["drama", "comedy", "drama|comedy"]) for _ in items]
    return tables


def renamed(tables: Tables, users: dict[str, str], items: dict[str, str]) -> None:
    """Give some users and items other ids."""
    tables.users = [users.get(user, user) for user in tables.users]
    tables.items = [items.get(item, item) for item in tables.items]
    tables.rows = [(users.get(user, user), items.get(item, item)) for user, item in tables.rows]


def kept(tables: Tables, keep: Callable[[int, str, str], bool]) -> None:
    """Leave some rows out."""
    chosen = [place for place, (user, item) in enumerate(tables.rows) if keep(place, user, item)]
    tables.rows = [tables.rows[place] for place in chosen]
    for name in ("ratings", "times"):
        if (values := getattr(tables, name)) is not None:
            setattr(tables, name, [values[place] for place in chosen])


def first_of_each(tables: Tables, count: int) -> None:
    """Leave so many interactions to each user."""
    met: dict[str, int] = {}
    for user, _ in tables.rows:
        met[user] = 0

    def keep(_: int, user: str, __: str) -> bool:
        met[user] += 1
        return met[user] <= count

    kept(tables, keep)


def some_users(tables: Tables, count: int) -> None:
    """Leave so many users."""
    tables.users = tables.users[:count]
    tables.labels = {name: values[:count] for name, values in tables.labels.items()}
    there = set(tables.users)
    kept(tables, lambda _, user, __: user in there)


def some_items(tables: Tables, count: int) -> None:
    """Leave interactions with so many items."""
    there = set(tables.items[:count])
    kept(tables, lambda _, __, item: item in there)


def relabelled(tables: Tables, rng: random.Random, label: Callable[[int], str | None]) -> None:
    """Give every user another label of one attribute."""
    tables.labels[rng.choice(list(tables.labels))] = [label(place) for place in range(len(tables.users))]


def odd_id(tables: Tables, rng: random.Random, change: Callable[[str], str]) -> None:
    """Change the id of a user or an item."""
    of, ids = rng.choice([("user", tables.users), ("item", tables.items)])
    one = rng.choice(ids)
    renamed(tables, {one: change(one)} if of == "user" else {}, {one: change(one)} if of == "item" else {})


def everywhere(tables: Tables, change: Callable[[str], str]) -> None:
    """Change every id."""
    renamed(tables, {user: change(user) for user in tables.users}, {item: change(item) for item in tables.items})


def attribute(tables: Tables, rng: random.Random, name: str) -> None:
    """Call an attribute something else."""
    one = rng.choice(list(tables.labels))
    tables.labels = {name if own == one else own: values for own, values in tables.labels.items()}


def more_attributes(tables: Tables, rng: random.Random, count: int) -> None:
    """Add so many, of two classes."""
    tables.labels |= {f"more{place}": [str(rng.randrange(2)) for _ in tables.users] for place in range(count)}


def without_last_user(tables: Tables) -> None:
    """Leave the last user out of the table of users."""
    tables.users = tables.users[:-1]
    tables.labels = {name: values[:-1] for name, values in tables.labels.items()}


def without_last_item(tables: Tables) -> None:
    """Leave the last item out of the table of items."""
    tables.items = tables.items[:-1]
    tables.titles, tables.groups = (values and values[:-1] for values in (tables.titles, tables.groups))


def rated(tables: Tables, rating: Callable[[], float | None], least: float | None = 4.0) -> None:
    """Give ratings, and a threshold."""
    tables.ratings = [rating() for _ in tables.rows]
    tables.settings |= {} if least is None else {"positive_at_least": least}


def timed(tables: Tables, time: Callable[[int], float]) -> None:
    """Give other times."""
    tables.times = [time(place) for place in range(len(tables.rows))]


def everything(tables: Tables, rng: random.Random) -> None:
    """Let some users, or all, see every item."""
    some = set(rng.sample(tables.users, rng.choice([1, len(tables.users)])))
    met = set(tables.rows)
    tables.rows += [
        (user, item) for user in tables.users if user in some for item in tables.items if (user, item) not in met
    ]
    tables.times = None


def twice(tables: Tables) -> None:
    """Say everything twice."""
    tables.rows += tables.rows
    tables.times = None if tables.times is None else [*tables.times, *tables.times]


ODDITIES: dict[str, Callable[[Tables, random.Random], object]] = {
    "huge ids": lambda t, r: everywhere(t, lambda key: f"{10 ** r.choice([17, 18, 40])}{key}"),
    "leading zeros": lambda t, r: everywhere(t, lambda key: key.zfill(6)),
    "text ids": lambda t, r: everywhere(t, lambda key: f"{r.choice(PRINTABLE)}{key}"),
    "an invisible character": lambda t, r: odd_id(t, r, lambda key: f"{key}{r.choice(INVISIBLE)}x"),
    "a printable character": lambda t, r: odd_id(t, r, lambda key: f"{key}{r.choice(PRINTABLE)}x"),
    "a space at an end": lambda t, r: odd_id(t, r, lambda key: f"{key} "),
    "a long id": lambda t, r: odd_id(t, r, lambda key: "é" * r.choice([256, 257, 1000]) ),
    "no id": lambda t, r: odd_id(t, r, lambda key: ""),
    "a long name": lambda t, r: attribute(t, r, "a" * r.choice([64, 65, 300])),
    "a name that is none": lambda t, r: attribute(t, r, r.choice(NO_NAMES)),
    "a part's name": lambda t, r: attribute(t, r, r.choice(["shared", "base", "user", "without_age", "z"])),
    "many attributes": lambda t, r: more_attributes(t, r, r.choice([2, 4, 8])),
    "one class": lambda t, r: relabelled(t, r, lambda _: "same"),
    "all unknown": lambda t, r: relabelled(t, r, lambda _: None),
    "one labelled": lambda t, r: relabelled(t, r, lambda place: "c0" if place == 3 else None),
    "two labelled": lambda t, r: relabelled(t, r, lambda place: f"c{place}" if place < 2 else None),
    "few labelled": lambda t, r: relabelled(t, r, lambda place: r.choice("ab") if place % 9 == 0 else None),
    "one of its kind": lambda t, r: relabelled(t, r, lambda place: str(place == 5)),
    "a class for each": lambda t, r: relabelled(t, r, lambda place: f"c{place}"),
    "many classes": lambda t, r: relabelled(t, r, lambda place: f"c{place % 20}"),
    "classes of odd text": lambda t, r: relabelled(t, r, lambda place: r.choice([*PRINTABLE, "a\u200bb", "x" * 1000])),
    "labels that are no text": lambda t, r: relabelled(t, r, lambda place: r.choice(["a\x07", "x" * 1001, "\n"])),
    "one user": lambda t, r: some_users(t, 1),
    "two users": lambda t, r: some_users(t, 2),
    "five users": lambda t, r: some_users(t, 5),
    "users without interactions": lambda t, r: kept(t, lambda _, user, __: ord(user[-1]) % 2 == 0),
    "one interaction each": lambda t, r: first_of_each(t, 1),
    "two interactions each": lambda t, r: first_of_each(t, 2),
    "three interactions each": lambda t, r: first_of_each(t, 3),
    "no interactions": lambda t, r: kept(t, lambda *_: False),
    "one item": lambda t, r: some_items(t, 1),
    "two items": lambda t, r: some_items(t, 2),
    "untouched items": lambda t, r: some_items(t, max(1, len(t.items) // 2)),
    "everything seen": everything,
    "twice": lambda t, r: twice(t),
    "equal times": lambda t, r: timed(t, lambda _: 7),
    "negative times": lambda t, r: timed(t, lambda place: -place),
    "huge times": lambda t, r: timed(t, lambda place: 2**62 + place),
    "times beyond whole numbers": lambda t, r: timed(t, lambda place: 1e300 * (place % 3)),
    "no times": lambda t, r: setattr(t, "times", None),
    "all below the threshold": lambda t, r: rated(t, lambda: 1.0),
    "hardly any positive": lambda t, r: rated(t, lambda: 5.0 if r.random() < 0.1 else 1.0),
    "half positive": lambda t, r: rated(t, lambda: r.choice([1.0, 5.0])),
    "strange ratings": lambda t, r: rated(t, lambda: r.choice([-1e300, 1e300, 0.0, -0.0]), 0.0),
    "a rating that is none": lambda t, r: rated(t, lambda: r.choice([5.0, float("nan"), float("inf"), None])),
    "a threshold without ratings": lambda t, r: t.settings.update(positive_at_least=4.0),
    "many positives asked for": lambda t, r: t.settings.update(min_positives=r.choice([3, 10, 1000])),
    "no titles, no groups": lambda t, r: (setattr(t, "titles", None), setattr(t, "groups", None)),
    "a group for each item": lambda t, r: setattr(t, "groups", [f"g{item}" for item in t.items]),
    "empty titles": lambda t, r: setattr(t, "titles", [None for _ in t.items]),
    "a user that is in no table": lambda t, r: without_last_user(t),
    "an item that is in no table": lambda t, r: without_last_item(t),
}  # fmt: skip
"""What is odd, and how tables become so."""


def odd(oddities: list[str], seed: int) -> Tables:
    """Ordinary tables of some size, made odd."""
    rng = random.Random(seed)
    tables = ordinary(rng)
    for name in oddities:
        ODDITIES[name](tables, rng)
    return tables
