"""What several gateways share by way of Redis."""
