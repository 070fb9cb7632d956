"""Search: fair vectors in, lists out; popular and similar items too. The one door to FAISS and to Milvus."""

from service.index.approximate import ApproximateRanker
from service.index.build import device_bytes
from service.index.flat import use_one_thread
from service.index.interface import Device, Index, Kind, Ranker, SearchBatch
from service.index.order import Position, Ranking
from service.index.popular import PopularOrder
from service.index.proposal_ranker import ProposalRanker
from service.index.report import IndexReport
from service.index.rerank import CandidateRanker
from service.index.select_index import Opened, make_ranker, open_index
from service.index.similar import Neighbours
from service.index.tune import Sample

__all__ = [
    "ApproximateRanker",
    "CandidateRanker",
    "Device",
    "Index",
    "IndexReport",
    "Kind",
    "Neighbours",
    "Opened",
    "PopularOrder",
    "Position",
    "ProposalRanker",
    "Ranker",
    "Ranking",
    "Sample",
    "SearchBatch",
    "device_bytes",
    "make_ranker",
    "open_index",
    "use_one_thread",
]
