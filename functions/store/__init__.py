"""The store worker."""
