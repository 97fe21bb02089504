"""What the design is worth, measured: the same faults for this pipeline and for the usual ones."""
