"""Real processes that are killed and frozen under load."""
