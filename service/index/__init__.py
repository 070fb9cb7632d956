"""Search: fair vectors in, exact lists out. The one door to FAISS."""

from service.index.exact import Ranker, Ranking
from service.index.flat import Index, open_index, use_one_thread

__all__ = ["Index", "Ranker", "Ranking", "open_index", "use_one_thread"]
