"""How a real vLLM serves a miniature model on the CPU in tests and benchmarks. Starts nothing."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
VLLM_PYTHON = Path(os.environ.get("THINKGATE_VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
CPU_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}
CPU_FLAGS = (
    *("--dtype", "float32", "--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager"),
    *("--kv-cache-memory-bytes", "64M", "--generation-config", "vllm"),
)
