"""card.json: a bundle measured as it is exported, through its own encoder, by `measure.audit`.

make       what is measured, in order
views      vectors and lists of a bundle's users, as served
reference  the leakage figure of the paper's own code, in `reproduce`
"""

from training.card.make import make_card
from training.card.views import fair_vectors

__all__ = ["fair_vectors", "make_card"]
