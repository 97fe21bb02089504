"""The round over open jobs."""
