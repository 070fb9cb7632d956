"""One audit of one bundle: accuracy, leakage and fairness as a card, and the verdict on it.

subject    what is audited: users, items, and the lists that are made for them
make       what is measured, in order
accuracy   held-out positives: by mask, by group, for new users
fairness   what lists are like, by mask and by group
targets    what is attacked, under which masks, and what it is compared with
leakage    the attacks, and the rows they become
traces     what can be read of attributes' scores, by everybody's vectors
workers    many attacks side by side, with the same result for any number of processes
scope      what an audit was asked for, and what a verdict must cover
reasons    why something is not judged: a closed set
lookup     what a verdict needs, looked up in a card: found, or missing with its reason
verdict    a card against the operator's thresholds
"""

from measure.audit.make import METRICS, measure
from measure.audit.scope import Scope, Wanted
from measure.audit.subject import Lists, Population, Subject
from measure.audit.verdict import Thresholds, judge

__all__ = ["METRICS", "Lists", "Population", "Scope", "Subject", "Thresholds", "Wanted", "judge", "measure"]
