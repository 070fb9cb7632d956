"""Offline side of Evenhand: data in, a base model and fair encoders trained, a bundle out."""
