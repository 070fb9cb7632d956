"""Search: fair vectors in, exact lists out; popular and similar items too. The one door to FAISS."""

from service.index.exact import Position, Ranker, Ranking
from service.index.flat import Index, open_index, use_one_thread
from service.index.popular import PopularOrder
from service.index.rerank import CandidateRanker
from service.index.similar import Neighbours

__all__ = [
    "CandidateRanker",
    "Index",
    "Neighbours",
    "PopularOrder",
    "Position",
    "Ranker",
    "Ranking",
    "open_index",
    "use_one_thread",
]
