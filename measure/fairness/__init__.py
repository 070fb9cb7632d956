"""How lists treat groups of users and of items: arrays in, numbers out, one family of metrics a module.

groups       users by class and by intersection; those too few to be measured are merged or withheld
items        items by group; what of each group is in somebody's list
totals       sums by group, what every metric is a function of
estimate     intervals by a bootstrap over users
shuffles     what chance alone gives; both draw by draws
overlap      two lists of the same user: Jaccard, rank-biased overlap
exposure     position-weighted shares of item groups; total variation between user groups
parity       demographic parity of recommendation, differential fairness
opportunity  equal opportunity, by fairlearn
utility      two-sided utility and its spread, error gaps
activity     the user-oriented gap
clients      gaps over everybody and inside each client
calibration  a user's lists against the user's history, and all lists against equal exposure
catalogue    how much of the catalogue is shown, and how evenly

Only ``opportunity`` imports fairlearn, and pandas with it; all others need NumPy alone, so that a service can use them
on what its log counts. docs/fairness-metrics.md has every formula, and what it does not say.
"""
