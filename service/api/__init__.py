"""HTTP: routes, schemas, problems. The one door to FastAPI."""

from service.api.app import create_app, published_schema

__all__ = ["create_app", "published_schema"]
