"""What is told of a request when it is over: the access log and traces. Neither may cost a request that has none."""
