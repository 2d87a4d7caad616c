"""POST /v1/responses, and what a response that was made can be asked for later."""
