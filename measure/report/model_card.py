"""The model card: which bundle, on which data, measured how, and what was withheld."""

from collections.abc import Iterator, Mapping
from typing import Any

from measure.report import words
from measure.report.json_access import count, names, number, table, tables
from measure.report.page import Block, Cell, Facts, Heading, Section, Table
from measure.report.rows import Card
from measure.report.tables import name
from measure.report.tables import number as digits

DEEPEST = 4
"""Levels of nested facts that are told."""

_FIRST = ("name", "version", "created", "method", "mode", "base_model", "content_hash", "seeds")
_ELSEWHERE = ("not_measured", "withheld", "settings", "attributes")
_DATA = ("data", "user_split_salt")


def facts(card: Card) -> Section:
    """List the bundle, its data and attributes, and how it was measured."""
    ordered = [key for key in _FIRST if key in card.bundle]
    ordered += [key for key in card.bundle if key not in (*ordered, *_DATA, "attributes")]
    blocks: list[Block] = []
    for title, keys in (("The bundle", ordered), ("Data and split", _DATA)):
        if rows := list(_flat({key: card.bundle[key] for key in keys if key in card.bundle})):
            blocks += [Heading(title), Facts(rows)]
    if attributes := tables(card.bundle.get("attributes")):
        body = [
            [name(words.clean(each.get("name", ""))), name(" · ".join(names(each.get("classes"))))]
            for each in attributes
        ]
        blocks += [Table("Attributes and their classes", ["Attribute", "Classes"], body)]
    if stands := list(_merged(card)):
        titles = ["Attribute", "Class", "Stands for", "Users"]
        blocks += [
            Table("Classes that were merged before training, and what tells them apart is not measured", titles, stands)
        ]
    blocks += _features(card)
    seconds = _seconds(card)
    if rows := list(_request(card)):
        blocks += [Heading("What was asked for"), Facts(rows)]
    blocks += [seconds] if seconds else []
    blocks += _protocols(card)
    return Section("facts", "Model card", blocks)


def withheld(card: Card) -> Section:
    """Say which groups, attributes and sections there are no numbers of, and why."""
    blocks: list[Block] = []
    groups = [(each.attribute, each.classes, each.reason) for each in card.fairness.withheld]
    inside = {(row.clients, row.withheld, row.attribute) for row in card.fairness.clients if row.withheld}
    groups += [
        (clients, few, f"too few users of each {attribute} inside to compare them")
        for clients, few, attribute in sorted(inside)
    ]
    if groups:
        body = [[name(attribute), name(words.listed(classes)), name(reason)] for attribute, classes, reason in groups]
        blocks.append(Table("Groups that are not told alone", ["Attribute", "Classes", "Reason"], body))
    merged = {row.attribute: row.groups for row in card.leakage if row.groups}
    if merged:
        body = [[name(attribute), name("; ".join(groups))] for attribute, groups in merged.items()]
        blocks.append(Table("Classes that were too small, attacked in groups", ["Attribute", "Groups"], body))
    for title, protocol, key in (
        ("Accuracy that says nothing", card.accuracy_protocol, "metric"),
        ("Attributes that could not be measured", card.leakage_protocol, "attribute"),
        ("Sections that could not be measured", card.fairness.protocol, "section"),
    ):
        if skipped := tables(protocol.get("not_measured")):
            body = [[name(words.clean(each.get(field, "all"))) for field in (key, "reason")] for each in skipped]
            blocks.append(Table(title, [words.capital(key), "Reason"], body))
    return Section("withheld", "Withheld, and why", blocks)


def _merged(card: Card) -> Iterator[list[Cell]]:
    """Tell which classes stand for several of the data's, and for how many users where the card counted them."""
    for each in tables(card.bundle.get("attributes")):
        attribute = words.clean(each.get("name", ""))
        for raw, of in table(each.get("merged")).items():
            merged = words.clean(raw)
            users = card.merged_users.get((attribute, merged))
            told = words.MISSING if users is None else words.count(users)
            yield [name(attribute), name(merged), name(", ".join(names(of))), digits(told)]


def _features(card: Card) -> Iterator[Block]:
    """Tell what items are known by, and how many have nothing else."""
    if card.modalities:
        body = []
        for each in card.modalities:
            have, of, dimensions = (words.count(count(each.get(key))) for key in ("items", "of", "dimensions"))
            told = [name(words.clean(each.get(key, ""))) for key in ("name", "source")]
            body.append([*told, digits(dimensions), digits(f"{have} of {of}")])
        yield Table("Item features", ["Modality", "From", "Numbers", "Items that have it"], body)
    if rows := list(_flat(card.cold_items)):
        yield Heading("Cold items, which nobody had touched: their vectors come from features")
        yield Facts(rows)


def _request(card: Card) -> Iterator[tuple[str, str]]:
    """Tell the requested measurements and their time."""
    if at := card.run.get("at"):
        yield "measured", words.clean(at)
    if not card.request:
        return
    if "users" in card.request:
        users = number(card.request["users"])
        yield (
            "users",
            "all audit users" if users is None else f"at most {words.count(int(users))} audit users, drawn by seed",
        )
    if "balance" in card.request:
        yield "balance of the lists", words.balance(card.request) or "none: lists as they are ranked"
    told = ("users", "balance", "balance_weight")
    yield from _flat({key: value for key, value in card.request.items() if key not in told})


def _protocols(card: Card) -> Iterator[Block]:
    """Tell how each part of the card was measured; a part with a table of its own is left to that."""
    protocols = {
        "accuracy": card.accuracy_protocol,
        "leakage": card.leakage_protocol,
        "lists and groups": card.fairness.protocol,
    }
    for title, protocol in protocols.items():
        told = {key: value for key, value in protocol.items() if key not in _ELSEWHERE}
        if rows := list(_flat(told)):
            yield Heading(f"How {title} {'were' if title.endswith('s') else 'was'} measured")
            yield Facts(rows)
    yield from _settings(table(card.leakage_protocol.get("settings")))


def _settings(found: Mapping[str, Any]) -> Iterator[Table]:
    """Tell the chosen hyper-parameters of each attacker on each attribute."""
    known = list(dict.fromkeys(attacker for each in found.values() for attacker in table(each)))
    body = [
        [name(words.clean(attribute)), *(name(_setting(table(each).get(attacker))) for attacker in known)]
        for attribute, each in found.items()
    ]
    if known:
        titles = [words.attacker(words.clean(attacker)) for attacker in known]
        yield Table("Settings of the attackers", ["Attribute", *titles], body)


def _setting(found: object) -> str:
    pairs = ((words.clean(key), number(value)) for key, value in table(found).items())
    return ", ".join(f"{key} {value:g}" for key, value in pairs if value is not None) or words.MISSING


def _seconds(card: Card) -> Table | None:
    found = {words.clean(key): number(value) for key, value in table(card.run.get("seconds")).items()}
    known = {key: value for key, value in found.items() if value is not None}
    if not known:
        return None
    body = [[name(key.replace("_", " ")), digits(f"{value:,.1f}")] for key, value in known.items()]
    body += [[name("all"), digits(f"{sum(known.values()):,.1f}")]] if len(known) > 1 else []
    return Table("Seconds by what was measured", ["Measured", "Seconds"], body)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give nested fields as one list of names and texts; empty ones are left out."""
    for key, value in values.items():
        label = f"{prefix}{words.clean(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            if prefix.count(": ") < DEEPEST:
                yield from _flat(value, f"{label}: ")
        elif isinstance(value, bool):
            yield label, "yes" if value else "no"
        elif isinstance(value, int) and key != "seed" and "seeds" not in prefix:
            yield label, words.count(value)
        elif isinstance(value, list):
            if value:
                yield label, "; ".join(_entry(entry) for entry in value)
        elif value is not None and value != "":
            yield label, words.clean(value)


def _entry(value: object) -> str:
    if isinstance(value, Mapping):
        return words.clean(value.get("name", words.MISSING))
    return words.mask(names(value)) if isinstance(value, list) else words.clean(value)
