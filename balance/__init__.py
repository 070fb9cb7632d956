"""Re-rankers: arrays in, order out. No web, no store, no torch.

One list at a time, towards a target over item groups:

shares         which groups items are in
targets        what a list is to be like
calibration    greedy calibration
pct            a target for each user that is the system's target on average: PCT

Lists of all users at once (docs/algorithms/reranking.md):

candidates     what they take: items of each user, and how relevant each is
prices         the dual of "K of each user's candidates, under sums over all users"
selection      that problem itself, by prices and a small integer program
user_fairness  two groups of users are served alike: UOF
cpfair         groups of users and of items at once: CPFair
tfrom          quotas of exposure for item groups, everybody's loss about the same: TFROM

All but ``calibration`` and what it imports need SciPy, in the extras `train`, `audit` and `serve`.
"""
