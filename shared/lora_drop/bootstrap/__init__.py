"""The composition roots: settings in, services out; each connects to the outside on first use."""
