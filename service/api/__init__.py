"""HTTP: routes, schemas, problems. The one door to FastAPI."""

from service.api.app import create_app, published_schema
from service.api.state import State

__all__ = ["State", "create_app", "published_schema"]
