"""The least that a verdict on one attribute needs: its scope, and the rows of a card."""

from measure.audit import Scope

MASKS = ((), ("gender",))
ONE = Scope(("gender",), MASKS, new_users=False, light_users=False, strict=True)
NEEDED = ("fair", "list@10", "protecting_masks", "protecting_lists@10")
"""Targets of the attribute where lists of 10 are attacked."""


def a_leak(target, low, high, sensitive=("gender",), attribute="gender"):
    """One row of leakage, with its value in the middle of its interval."""
    strongest = {"attacker": "mlp", "auc": (low + high) / 2, "ci95": [low, high]}
    return {
        "sensitive": list(sensitive), "attribute": attribute, "target": target, "n": 100, "strongest": strongest,
        "classes": [[0], [1]], "groups": ["F", "M"],
    }  # fmt: skip


def a_share_kept(low, high):
    """The same interval of accuracy kept, sampled and full."""
    estimate = {"value": (low + high) / 2, "ci95": [low, high]}
    return {"sampled": {"ndcg@10": estimate}, "full": {"ndcg@10": estimate}}
