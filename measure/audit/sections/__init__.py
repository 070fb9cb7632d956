"""The sections of a card's ``fairness``: the numbers of `measure.fairness` for one bundle, row by row.

context    the audit users, their groups and the items' groups; the answers to one mask
lists      overlap, calibration, catalogue: what lists are like
groups     exposure, parity, clients: what is shown to whom
quality    utility, activity: who finds what they would like

Each section is a function of a context and the answers to one mask that gives the rows of that mask.
"""
