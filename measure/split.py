"""The parts that users are split into (DESIGN 3): whose labels may be learned from, chosen by, and only attacked."""

TRAIN, SELECT, AUDIT = 0, 1, 2
