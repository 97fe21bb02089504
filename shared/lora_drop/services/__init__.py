"""One module per promise; takes ports, returns values."""
