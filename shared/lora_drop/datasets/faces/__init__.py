"""Faces in a dataset: what was seen of them, and what that means for a portrait; pure decisions."""
