"""Policies on long seeded traces, without a server: `python -m tests.simulation docs/images` draws them."""
