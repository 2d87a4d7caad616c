"""Shadows: a share of the requests, answered by the other mode too, for the log alone."""
