"""The rules of fal: its statuses, errors, webhooks, trainers and hosts. Pure."""
