"""Entry points: one folder, one Lambda function. Translation only."""
