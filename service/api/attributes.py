"""The route on attributes that can be protected."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.answer import json_response
from service.api.problems import problems
from service.api.query import NoParameters, parse
from service.api.schemas import AttributesPage
from service.api.state import state_of
from service.errors import InvalidQueryError, QueryTooLongError

router = APIRouter(tags=["recommendations"], generate_unique_id_function=lambda route: route.name)


@router.get("/attributes", response_model=AttributesPage, responses=problems(InvalidQueryError, QueryTooLongError))
async def attributes(request: Request) -> Response:
    """List what can be protected, in which combinations, what is protected whether asked for or not, and balances."""
    parse(NoParameters, request.scope["query_string"])
    recommender = state_of(request).runtime.recommender
    description, policy = recommender.model.bundle.description, recommender.policy
    balance, always = policy.balance, [*policy.required, *description.always_protected]
    page: AttributesPage = {
        "attributes": [
            {"name": one.name, "classes": one.classes, "merged": one.merged} for one in description.attributes
        ],
        "supported_masks": {"kind": description.supported_masks.kind, "masks": description.supported_masks.masks},
        "always_protected": description.always_protected,
        "required": list(policy.required),
        "default": list(policy.default),
        "balance": {
            "target_from": balance.target_from,
            "targets": [name for name in balance.targets if name != "history" or not always],
            "default": balance.default,
            "weight": balance.weight,
            "max_weight": balance.most,
        },
    }
    return json_response(page)
