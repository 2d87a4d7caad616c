"""A judge from an ONNX sequence classifier (extra `encoder`). Knows the directory's files; imports its runtime lazily.

The directory holds `model.onnx` (inputs `input_ids` and `attention_mask`, optionally `token_type_ids`; one output of
logits, one or two columns), `tokenizer.json`, and optionally `judge.json` with `name`, `version`, `max_tokens`,
`temperature` and `positive` (the column that means thinking).
"""

import json
from math import exp
from pathlib import Path
from typing import Any

from router.conversation import ASK_HEAD_CHARS, ASK_TAIL_CHARS, Conversation, head_and_tail
from router.judges.base import Feature, JudgeError, Judgement

_INSTALL = "the encoder judge needs onnxruntime and tokenizers: pip install 'thinkgate[encoder]'"


class EncoderJudge:
    """Scores with a small transformer on the CPU, one thread a call. Thread-safe, as ONNX Runtime sessions are."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]
            from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise JudgeError(f"{_INSTALL} ({error})") from error
        directory = Path(path)
        try:
            card: dict[str, Any] = {}
            if (directory / "judge.json").exists():
                card = json.loads((directory / "judge.json").read_text("utf-8"))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = threads
            self._session = onnxruntime.InferenceSession(
                str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        except Exception as error:  # each library raises its own kinds
            raise JudgeError(f"{directory}: cannot read the encoder ({type(error).__name__}: {error})") from error
        self.name = str(card.get("name", "encoder"))
        self.version = str(card.get("version", directory.name))
        self._temperature = float(card.get("temperature", 1.0))
        self._positive = int(card.get("positive", 1))
        self._tokenizer.enable_truncation(int(card.get("max_tokens", 512)))
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    def score(self, conversation: Conversation) -> Judgement:
        """The classifier's probability; the text is cut to its head and tail, then to `max_tokens`."""
        import numpy as np

        text = head_and_tail(conversation.work, ASK_HEAD_CHARS, ASK_TAIL_CHARS)
        encoding = self._tokenizer.encode(text.encode("utf-8", "replace").decode("utf-8"))
        if not encoding.ids:
            return Judgement(0.0, self.version)
        offered = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds = {name: np.array([offered[name]], np.int64) for name in self._inputs if name in offered}
        logits = np.asarray(self._session.run(None, feeds)[0], float).reshape(-1) / self._temperature
        margin = float(logits[0]) if len(logits) == 1 else float(logits[self._positive] - _rest(logits, self._positive))
        return Judgement(1.0 / (1.0 + exp(-max(-700.0, min(700.0, margin)))), self.version)

    def explain(self, conversation: Conversation) -> Judgement:
        """The same score; an encoder does not say what moved it."""
        return Judgement(self.score(conversation).score, self.version, (Feature("an encoder's own reading", 0.0),))


def _rest(logits: Any, positive: int) -> float:
    """Log-sum-exp of the other classes."""
    import numpy as np

    others = np.delete(logits, positive)
    top = others.max()
    return float(top + np.log(np.exp(others - top).sum()))
