"""What a table base is trained for: one objective a module, each the loss of a step from a batch, groups and state.

contract   what an objective is, and what it is given
config     what a configuration may say
groups     intersections of user and item groups
losses     losses by group, and their mixture
bpr        pairwise ranking, blind to groups: the default
dro        GroupDRO and StreamDRO: the worst-off group weighs most
itfr       ITFR: sharpness-aware losses of groups that help each other, at unit length
dpr        DPR-REO: scores that do not tell the group of an item
fairneg    FairNeg: negatives drawn by how their group fares
multifr    MultiFR: accuracy and two kinds of fairness as one descent direction
ucds       In-UCDS: users with few interactions follow active ones who are like them
make       from a configuration to an objective; what cannot be is refused

docs/algorithms/objectives.md has every formula.
"""
