"""Base models: they give user vectors and item vectors; fair models leave them as they are."""
