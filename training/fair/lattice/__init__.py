"""The default strict method: a rest without the information of u on the attributes, and a lattice of parts beside it.

Specified in docs/algorithms/lattice.md; numbers in the code (J1 …) are its steps.
"""
