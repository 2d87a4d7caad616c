"""The console: static files that a browser runs against the public API. Holds no data and no secret."""
