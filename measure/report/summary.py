"""The start of a report: the finding in words, and cost and leakage of every mask in one table."""

from collections.abc import Sequence

from measure.report import words
from measure.report.json_access import items, names, table, tables
from measure.report.page import Cell, Section, Table, Tile
from measure.report.rows import FULL, SAMPLED, Card, LeakRow
from measure.report.tables import TINT, auc, name, number

FEW = 3
"""Attributes that a sentence can list with their numbers."""


def kicker(card: Card) -> str:
    """Name the bundle above the headline."""
    facts = [words.clean(card.bundle[key]) for key in ("name", "version") if card.bundle.get(key) is not None]
    created = card.bundle.get("created")
    day = [words.clean(created)[:10]] if created else []
    told = [*([" ".join(facts)] if facts else []), *day]
    if not card.run and not card.request:
        return " · ".join(["What was measured", *told])
    at = [f"measured {words.clean(card.run['at'])[:10]}"] if card.run.get("at") else []
    profile = [f"{words.clean(card.request['profile'])} profile"] if card.request.get("profile") else []
    return " · ".join(["Audit", *told[:1], *at, *profile])


def headline(card: Card) -> str:
    """Say the cost of full protection, or describe the page where that was not measured."""
    row = card.measured(card.widest)
    if not card.widest or row is None or row.kept(SAMPLED) is None:
        return "Accuracy and leakage of this bundle"
    who = words.listed(card.widest)
    if len(card.widest) > FEW and set(card.widest) == set(card.attributes):
        who = f"all {len(card.widest)} attributes"
    return f"With {who} protected, {words.share(row.kept(SAMPLED))} of sampled N@10 is kept"


def lead(card: Card) -> list[str]:
    """Say the remaining leakage, name the bundle, and say whether the leakage can be told from chance."""
    rows = _left(card)
    paragraphs = []
    if rows:
        shown = rows if len(rows) <= FEW else [max(rows, key=lambda row: row.auc)]
        said = [f"{row.attribute} at {words.auc(row.auc)} ({_beside(card, row)})" for row in shown]
        rest = [row.auc for row in rows if row not in shown]
        others = f" The others are at {words.auc(min(rest))} to {words.auc(max(rest))}." if rest else ""
        paragraphs.append(f"The strongest attacker recovers {words.listed(said)}.{others} An AUC of 0.500 is chance.")
        paragraphs += _against_chance(rows)
    if card.unmeasured:
        told = "; ".join(f"{attribute} ({why})" for attribute, why in card.unmeasured.items())
        paragraphs.insert(0, f"Not measured: {told}. What attackers find of it is not known.")
    if balance := words.balance(card.request):
        paragraphs.append(f"The lists of this audit were balanced towards item groups: {balance}.")
    return [*paragraphs, *_what_it_is(card)]


def warning(card: Card) -> str:
    """Say why these numbers are not a verdict, where they are not."""
    said = []
    if card.verdict and card.verdict.reason:
        return ""  # the verdict itself says so
    profile = card.leakage_protocol.get("profile")
    if card.leakage_protocol.get("verdict") is False:
        named = f"the {words.clean(profile)} profile" if profile else "a profile"
        said.append(f"Leakage was measured with {named}, which runs fewer attackers: a look, not a verdict.")
    if card.bundle.get("mode") == "reproduce":
        said.append("Training used the labels of all users, audit users too: these numbers flatter the protection.")
    return " ".join(said)


def tiles(card: Card) -> list[Tile]:
    """Give the numbers of full protection."""
    found = []
    if (row := card.measured(card.widest)) and card.widest:
        for metric, title in ((SAMPLED, "sampled N@10 kept"), (FULL, "full N@10 kept")):
            if (kept := row.kept(metric)) is not None:
                note = f"{words.score(row.values[metric])} of {words.score(row.base[metric])} · {words.people(row.n)}"
                found.append(Tile(title, words.share(kept), note))
    found += [Tile(f"{attribute} recovered, AUC", "not measured", why) for attribute, why in card.unmeasured.items()]
    for leak in _left(card):
        base = card.unprotected(leak.attribute)
        parts = [f"unprotected\u00a0{words.auc(base)}"] if base is not None else []
        parts += [f"95\u00a0%\u00a0{words.interval(leak.ci)}"] if leak.ci else []
        found.append(
            Tile(
                f"{leak.attribute} recovered, AUC",
                words.auc(leak.auc),
                " · ".join([*parts, words.people(leak.n)]),
            )
        )
    return found


def at_a_glance(card: Card) -> Section:
    """Set cost and leakage of every mask beside each other."""
    fair = card.attacked("fair")
    measured = [attribute for attribute in card.attributes if any(row.attribute == attribute for row in fair)]
    if not card.masks:
        return Section("glance", "", [])
    kept = [metric for metric in (SAMPLED, FULL) if any(row.kept(metric) is not None for row in card.accuracy)]
    people = words.counts(row.n for row in card.accuracy)
    columns = [
        "Protected",
        *(f"{words.capital(words.metric(*metric))} kept" for metric in kept),
        *(f"{each}, AUC" for each in measured),
    ]
    rows: list[list[Cell]] = []
    if any(card.unprotected(each) is not None for each in measured):
        whole = [number(words.share(1.0)) for _ in kept]
        rows.append([name("unprotected"), *whole, *(auc(card.unprotected(each), shaded=True) for each in measured)])
    for mask in card.masks:
        row = card.measured(mask)
        line = [name(words.mask(mask)), *(number(words.share(row.kept(metric) if row else None)) for metric in kept)]
        for each in measured:
            leak = card.find("fair", each, mask)
            line.append(auc(leak.auc if leak else None, strong=each in mask, shaded=True))
        rows.append(line)
    sizes = {each: words.counts(row.n for row in fair if row.attribute == each) for each in measured}
    told = [f"n\u00a0{size}" for size in set(sizes.values())] if len(set(sizes.values())) == 1 else []
    told = told or [f"{each} n\u00a0{size}" for each, size in sizes.items()]
    caption = f"Accuracy kept (n\u00a0{people})" if kept else ""
    if measured:
        caption += f"{' and l' if caption else 'L'}eakage of the fair vector ({', '.join(told)})"
    text = "The first line is the base model alone; each other line is one mask, what a request asks to protect. "
    text += "Bold: that attribute is protected."
    return Section("glance", "At a glance", [text, Table(caption, columns, rows, legend=TINT)])


def _left(card: Card) -> list[LeakRow]:
    rows = (card.find("fair", attribute, card.widest) for attribute in card.widest)
    return [row for row in rows if row is not None]


def _beside(card: Card, row: LeakRow) -> str:
    base = card.unprotected(row.attribute)
    return f"unprotected {words.auc(base)}" if base is not None else "unprotected not measured"


def _against_chance(rows: list[LeakRow]) -> list[str]:
    known = [row for row in rows if row.bound is not None]
    above = [row.attribute for row in known if row.bound is not None and row.auc > row.bound]
    within = [row.attribute for row in known if row.attribute not in above]
    said = []
    if above:
        said.append(f"{words.capital(words.listed(above))}: still recovered in part, above what shuffled labels give.")
    if within:
        said.append(f"{words.capital(words.listed(within))}: no more is found than with shuffled labels.")
    return [" ".join(said)] if said else []


def _what_it_is(card: Card) -> list[str]:
    bundle, data = card.bundle, table(card.bundle.get("data"))
    known = names([entry["name"] for entry in tables(bundle.get("attributes")) if "name" in entry])
    if not known:
        return []
    base = f" on the base model {words.clean(bundle['base_model'])}" if bundle.get("base_model") else ""
    method = (
        f"The bundle uses the method {words.clean(bundle['method'])}{base}" if bundle.get("method") else "The bundle"
    )
    source = f". Its data: {words.clean(data['source'])}" if data.get("source") else ""
    return [f"{method}{source}. {_requests(card, known)}"]


def _requests(card: Card, known: Sequence[str]) -> str:
    """Name the attributes that a request may ask this bundle to protect."""
    masks = table(card.bundle.get("supported_masks"))
    if masks.get("kind") == "fixed":
        return f"Every answer protects {words.listed(card.widest) or 'nothing'}."
    if len(known) == 1:
        said = f"Each request says whether to protect {known[0]}."
    else:
        said = f"Each request names which of {words.listed(known)} to protect."
    if masks.get("kind") == "list":
        said += f" The bundle answers {len(list(items(masks.get('masks'))))} such choices."
    always = names(card.bundle.get("always_protected"))
    return said + (f" {words.capital(words.listed(always))}: protected in every answer." if always else "")
