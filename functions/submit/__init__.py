"""The submitter."""
