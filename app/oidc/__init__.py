"""Callers who show a token of an OpenID Connect issuer instead of a key."""
