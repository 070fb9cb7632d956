"""The limits of the numbers."""

from measure.report import words
from measure.report.json_access import names
from measure.report.page import Bullets, Section
from measure.report.rows import Card


def limits(card: Card) -> Section:
    """Name the limits of the numbers, and the measurements that this card lacks."""
    items = [
        "Leakage is bounded from below: these attackers found this much, another may find more.",
        "What a user likes can itself go with an attribute. Withholding reduces what the vector says of it; titles and "
        "genres in a list may still hint at it.",
        "Whoever knows the user's history, or asks for the unprotected vector or list, learns what those say.",
        "Averages hide groups: read the accuracy by group, and mind the small ones.",
        "Measured offline on held-out interactions, which were themselves shaped by what users were once shown.",
    ]
    if card.fairness.withheld:
        items.append(
            "Groups that are too small are measured together or not at all, so what they are shown is not told."
        )
    if not _empty(card):
        items.append(
            "Differences between classes lean upwards: the largest of many is told, and small classes differ by "
            "chance. Set them beside what shuffled groups give."
        )
    asked = set(names(card.request.get("metrics")))
    absent = [title for title, metric, there in _coverage(card) if not there and (not asked or metric in asked)]
    unasked = [
        title for title, metric, there in _coverage(card) if not there and metric and asked and metric not in asked
    ]
    if absent:
        items.append(f"Not measured here, and so left out: {words.listed(absent)}.")
    if unasked:
        items.append(f"Not asked for, and so left out: {words.listed(unasked)}.")
    return Section("limits", "Limits", [Bullets(items)])


def _empty(card: Card) -> bool:
    found = card.fairness
    return not (found.exposure or found.parity or found.utility)


def _coverage(card: Card) -> list[tuple[str, str, bool]]:
    """List the possible measurements, their metric in an audit, and whether they were made."""
    targets = [row.target for row in card.leakage]
    found = card.fairness

    def attacked(*starts: str) -> bool:
        return any(target.startswith(starts) for target in targets)

    return [
        ("accuracy", "accuracy", bool(card.accuracy)),
        ("leakage of the fair vector", "leakage", attacked("fair")),
        ("scores left", "leakage", bool(card.traces)),
        ("leakage of the parts", "parts", attacked("part:")),
        ("leakage of the lists", "lists", attacked("list@")),
        ("several masks together", "joined", attacked("all_masks", "lists@", "protecting_")),
        ("the control on noise", "leakage", attacked("noise")),
        ("accuracy by group", "accuracy", any(row.groups for row in card.accuracy)),
        ("new users", "accuracy", bool(card.folded_in) or attacked("folded_in")),
        ("light users", "accuracy", bool(card.light) or attacked("light")),
        ("the front over strengths", "", bool(card.front)),
        ("overlap between masks", "overlap", bool(found.overlap)),
        ("exposure by user group", "exposure", bool(found.exposure)),
        ("parity between classes", "parity", bool(found.parity)),
        ("utility by intersection", "utility", bool(found.utility)),
        ("the gap by activity", "activity", bool(found.activity)),
        ("differences inside clients", "clients", bool(found.clients)),
        ("calibration", "calibration", bool(found.calibration)),
        ("coverage and concentration", "catalogue", bool(found.catalogue)),
    ]
