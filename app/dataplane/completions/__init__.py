"""POST /v1/completions: raw prompts in, raw text out."""
