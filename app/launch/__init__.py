"""Start and supervise vLLM engines and the gateway as child processes. Knows nothing about how requests are routed."""
