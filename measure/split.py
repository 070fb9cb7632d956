"""The parts that users are split into: whose labels may be learned from, chosen by, and only attacked."""

TRAIN, SELECT, AUDIT = 0, 1, 2
