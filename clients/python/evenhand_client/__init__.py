"""Typed Python client of an Evenhand service. Needs httpx, and nothing of the service.

    from evenhand_client import Client

    with Client("http://127.0.0.1:8000", key="evh_...") as evenhand:
        for item in evenhand.recommend("42", sensitive=["gender"], k=10).items:
            print(item.rank, item.title)

`AsyncClient` has the same methods as coroutines.
"""

from evenhand_client.answers import (
    Activation,
    Applied,
    Attribute,
    Attributes,
    Balance,
    Erasure,
    Item,
    Items,
    Model,
    Models,
    ModelVersion,
    Recommendations,
    Requirement,
    Taken,
    Trial,
)
from evenhand_client.calls import Ask, Interaction
from evenhand_client.client import AsyncClient, Client
from evenhand_client.errors import EvenhandError, Problem, UnreachableError
from evenhand_client.retry import Retries

__all__ = [
    "Activation",
    "Applied",
    "Ask",
    "AsyncClient",
    "Attribute",
    "Attributes",
    "Balance",
    "Client",
    "Erasure",
    "EvenhandError",
    "Interaction",
    "Item",
    "Items",
    "Model",
    "ModelVersion",
    "Models",
    "Problem",
    "Recommendations",
    "Requirement",
    "Retries",
    "Taken",
    "Trial",
    "UnreachableError",
]
