"""Policies that move a profile's threshold, and escalation. Pure: times and observations are handed in."""
