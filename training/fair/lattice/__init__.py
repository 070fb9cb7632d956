"""The default strict method: a rest without what u says of the attributes, and a lattice of parts beside it.

Specified in docs/algorithms/lattice.md; numbers in the code (L1 …) are its steps.
"""
