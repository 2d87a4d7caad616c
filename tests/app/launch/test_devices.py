"""GPUs are found and split."""

from pathlib import Path

import pytest

from app.launch.devices import Gpu, cpu_count, find_gpus, place

SMI = "0, GPU-aaa, NVIDIA H100 80GB HBM3, 81559, 4\n1, GPU-bbb, NVIDIA H100 80GB HBM3, 81559, 40000\n"


def gpus(count: int) -> list[Gpu]:
    return [Gpu(str(i), f"GPU-{i}", "H100", 80_000, 0) for i in range(count)]


def test_gpus_are_read_from_nvidia_smi() -> None:
    found = find_gpus({}, lambda: SMI)
    assert [gpu.uuid for gpu in found] == ["GPU-aaa", "GPU-bbb"]
    assert (found[1].total_mib, found[1].used_mib) == (81559, 40000)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [("1", ["GPU-bbb"]), ("1,0", ["GPU-bbb", "GPU-aaa"]), ("GPU-aa", ["GPU-aaa"]), ("", []), ("-1", []), ("7", [])],
)
def test_cuda_visible_devices_is_obeyed(visible: str, uuids: list[str]) -> None:
    assert [gpu.uuid for gpu in find_gpus({"CUDA_VISIBLE_DEVICES": visible}, lambda: SMI)] == uuids


@pytest.mark.parametrize("said", ["", "No devices were found\n", "NVIDIA-SMI has failed, because\n"])
def test_no_gpu_is_no_error(said: str) -> None:
    assert find_gpus({}, lambda: said) == ()


def test_unified_memory_has_no_size() -> None:
    assert find_gpus({}, lambda: "0, GPU-x, NVIDIA GB10, [N/A], [N/A]\n")[0].total_mib == 0


def test_two_engines_share_one_gpu() -> None:
    pair = place(2, gpus(1))
    assert [p.memory_share for p in pair] == [0.45, 0.45]
    assert [p.tensor_parallel for p in pair] == [1, 1]


@pytest.mark.parametrize(
    ("count", "split"),
    [(2, ["0", "1"]), (4, ["0 1", "2 3"]), (8, ["0 1 2 3", "4 5 6 7"]), (3, ["0", "1"]), (6, ["0 1", "3 4"])],
)
def test_several_gpus_are_split_in_powers_of_two(count: int, split: list[str]) -> None:
    pair = place(2, gpus(count))
    assert [" ".join(gpu.index for gpu in p.gpus) for p in pair] == split
    assert all(p.memory_share == 0.9 for p in pair)


def test_a_hybrid_gets_all_of_it() -> None:
    (alone,) = place(1, gpus(4))
    assert (alone.tensor_parallel, alone.memory_share) == (4, 0.9)
    assert place(1, gpus(1), 0.3)[0].memory_share == 0.3


def test_without_gpus_the_cores_are_split() -> None:
    pair = place(2, [])
    assert pair[0].gpus == ()
    assert pair[0].threads == max(1, cpu_count() // 2)


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert cpu_count(quota) == 1
    quota.write_text("max 100000\n")
    assert cpu_count(quota) >= 1
