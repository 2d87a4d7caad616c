"""Clients' keys: hashed, in the configuration or in a file of their own."""
