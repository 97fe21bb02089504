"""The fetch worker."""
