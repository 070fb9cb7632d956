"""How much the lists of different masks share."""

from measure.report import words
from measure.report.axes import over_one
from measure.report.estimates import cells, folded, panel
from measure.report.figures import Figure
from measure.report.page import Cell, Section, Table
from measure.report.rows import Card
from measure.report.tables import key_of, name, number


def between_masks(card: Card) -> Section:
    """Show the changes that a mask makes to a user's list."""
    rows = card.fairness.overlap
    if not rows:
        return Section("overlap", "", [])
    measures = sorted({key for row in rows for key in row.values})
    note = f"n {words.counts(row.n for row in rows)}"
    panels = []
    for each in measures:
        found = [(row.sensitive, row.values[each]) for row in rows if each in row.values]
        panels.append(panel(words.capital(words.measure(each)), note, over_one(), found))
    text = (
        f"Each user's list under a mask beside the same user's list {_reference(card)}: 1 is the same list, 0 shares "
        "no item. Jaccard counts items; RBO (rank-biased overlap) weighs their ranks too, the top most. This says how "
        "far a mask changes lists, not whether it changes them for the better."
    )
    columns = ["Protected"]
    for each in measures:
        columns += [words.capital(words.measure(each)), "95\u00a0% interval"]
    body: list[list[Cell]] = []
    for row in rows:
        values = [cell for each in measures for cell in cells(row.values.get(each))]
        body.append([name(words.mask(row.sensitive)), *values, number(words.count(row.n))])
    table = Table("Overlap of lists", [*columns, "n"], body, folded=folded(body))
    return Section("overlap", "Overlap between masks", [text, Figure("Overlap by mask", panels, key_of(panels)), table])


def _reference(card: Card) -> str:
    """Name the mask that the others are compared with: where it is not said, the narrowest without a row."""
    compared = {row.sensitive for row in card.fairness.overlap}
    narrowest = min((mask for mask in card.masks if mask not in compared), key=len, default=None)
    found = narrowest if card.fairness.reference is None else card.fairness.reference
    return "under the narrowest mask" if found is None else f"with {words.sentence_mask(found)} protected"
