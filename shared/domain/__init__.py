"""Values and rules: no clock, no network, no vendor."""
