"""A job, its transitions, its money, and the files a person finds. Pure."""
