"""DifFaiRec: DiffRec's reverse steps under the condition of what users of other groups like.

Specified in docs/algorithms/diffairec.md.
"""
