# Targets a newcomer needs; everything is set up on first use in .venv (gateway) and .venv-vllm (engine).
PY := .venv/bin/python
