"""Endpoints that nothing is decided for: the request goes to the pool that serves the named model."""
