"""card.json: accuracy and leakage as measured on this exported bundle, through its own encoder.

make       what is measured, in order
views      vectors and lists of a bundle's users, as served
ranking    exact lists for many users at once
accuracy   held-out positives: by mask, by group, for new users
targets    what is attacked, under which masks, and what it is compared with
leakage    the attacks, and the rows they become
reference  the leakage figure of the paper's own code, in `reproduce`
workers    many attacks side by side, with the same result for any number of processes
"""

from training.card.make import make_card
from training.card.views import fair_vectors

__all__ = ["fair_vectors", "make_card"]
