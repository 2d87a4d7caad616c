"""What the gateway measures of itself, for Prometheus."""

from app.metrics.meters import Meters

__all__ = ["Meters"]
