"""PoT-AU: user vectors that were trained already are moved until the classes of an attribute look alike.

Specified in docs/algorithms/pot-au.md; numbers in the code (U1 …) are its equations.
"""
