"""The decision log: what was decided for each request, and how the request ended."""
