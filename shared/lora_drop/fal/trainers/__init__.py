"""fal's trainers, one row of facts each: what a trainer takes, what it gives, what it costs."""
