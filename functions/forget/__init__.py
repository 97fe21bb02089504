"""Jobs are forgotten."""
