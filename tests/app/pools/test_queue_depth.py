"""vLLM's metrics: the two numbers that the choice needs."""

import pytest

from app.pools.queue_depth import QueueDepth, read_queue_depth

TEXT = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 12.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
python_gc_objects_collected_total{generation="0"} 1.0
"""


def test_all_engines_of_a_server_count():
    assert read_queue_depth(TEXT) == QueueDepth(15.0, 7.0, 0.75)


def test_names_without_labels_are_read_too():
    assert read_queue_depth(b"vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n") == QueueDepth(2, 1, 0)


@pytest.mark.parametrize("text", [b"", b"ok", b"<html>", b'{"error":1}', b"vllm:num_requests_running x\n", b"\xff\xfe"])
def test_anything_else_is_no_answer(text):
    assert read_queue_depth(text) is None


@pytest.mark.parametrize("value", [b"NaN", b"-1", b"+Inf", b"1e300"])
def test_nonsense_is_left_out(value):
    text = b"vllm:num_requests_running %b\nvllm:num_requests_waiting 2\n" % value
    assert read_queue_depth(text) == QueueDepth(0, 2, 0)
