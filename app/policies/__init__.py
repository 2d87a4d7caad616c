"""Policies that move thresholds, as the gateway runs them. Their laws are in router/policies."""
