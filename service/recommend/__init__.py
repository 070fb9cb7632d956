"""Decides on a list: its protection, its user, the items to drop, and where it continues."""
