"""What all tests share: hypothesis says what a machine that stands still for a second cannot change."""

from hypothesis import HealthCheck, settings

settings.register_profile("thinkgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thinkgate")
