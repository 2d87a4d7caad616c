"""An ONNX classifier as a judge, with a small model that the test exports."""

import json
from pathlib import Path

import onnx
import onnxruntime  # noqa: F401 - a missing runtime must fail here, not skip
import pytest
import tokenizers

from router.conversation import Conversation
from router.judges import JudgeError, load_judge

WORDS = ["[UNK]", "hello", "weather", "prove", "integers"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A bag-of-words classifier: each word adds its row of `weights` to the two logits."""
    import numpy as np

    weights = np.array([[0, 0], [2, 0], [2, 0], [0, 3], [0, 2]], np.float32)
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
            helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
        ],
        "bag",
        [helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "judge.json").write_text(json.dumps({"name": "bag", "version": "7", "max_tokens": 64}))
    return tmp_path


def test_the_score_is_the_softmax_of_the_thinking_class(directory: Path) -> None:
    judge = load_judge("encoder", path=directory)
    assert judge.score(Conversation(ask="prove integers")).score == pytest.approx(1 / (1 + 2.718281828**-5))
    assert judge.score(Conversation(ask="hello weather")).score == pytest.approx(1 / (1 + 2.718281828**4))
    assert (judge.name, judge.version) == ("bag", "7")


@pytest.mark.parametrize("text", ["", "\ud800", "😀" * 10_000, "prove " * 100_000])
def test_odd_and_long_inputs_score(directory: Path, text: str) -> None:
    assert 0.0 <= load_judge("encoder", path=directory).explain(Conversation(ask=text)).score <= 1.0


def test_a_directory_without_a_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="cannot read the encoder"):
        load_judge("encoder", path=tmp_path)
