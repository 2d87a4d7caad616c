"""Train the miniature pair from nothing: `python deploy/engine/train.py instruct|thinking|all`.

Each model is a Qwen3 of 0.7M parameters; its loss counts only what it writes itself. Seeds are fixed and a process uses
one thread, so the same versions of the libraries on the same kind of machine give the same weights.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one core per model

import dialogues
import tasks
import tokenizer
import torch
from torch.nn import functional
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
PEAK_RATE = 2e-3
RESUMED_RATE = 1e-3
WARMUP_STEPS = 100
BATCH_TOKENS = 2048
STEPS = {"instruct": 4800, "thinking": 4800}
# Qwen's recommendations for the two families; the gateway's own defaults win over them.
SAMPLING = {"instruct": {"temperature": 0.7, "top_p": 0.8}, "thinking": {"temperature": 0.6, "top_p": 0.95}}


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids (rows, length), padded on the right, and the ids to predict, -100 where the loss does not look."""

    ids: torch.Tensor
    labels: torch.Tensor


def chat_template(model: str) -> str:
    opening = json.dumps(dialogues.OPENINGS[model])
    return "{%- set opening = " + opening + " -%}\n" + (HERE / "chat.jinja").read_text(encoding="utf-8")


def batches(model: str, encoder: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Endless batches of about BATCH_TOKENS tokens; rows of like length share one, so that little is padding."""
    source = dialogues.dialogues(model, seed)
    shuffle = torch.Generator().manual_seed(seed)
    while True:
        rows = sorted((encode(next(source), encoder) for _ in range(1024)), key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in rows:
            if len(row[0]) * (len(groups[-1]) + 1) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(row)
        for index in torch.randperm(len(groups), generator=shuffle).tolist():
            if groups[index]:
                yield pad(groups[index], encoder.pad_token_id)


def encode(dialogue: dialogues.Dialogue, encoder: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Ids and labels of one conversation, both shifted by one."""
    head = encoder.apply_chat_template(dialogue.messages, add_generation_prompt=True, tokenize=False)
    prompt = encoder.encode(head + dialogue.given)
    answer = [*encoder.encode(dialogue.target), encoder.eos_token_id]
    return (prompt + answer)[:-1], [-100] * (len(prompt) - 1) + answer


def pad(rows: list[tuple[list[int], list[int]]], filler: int) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [filler] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
    return Batch(ids, labels)


def architecture(encoder: PreTrainedTokenizerFast) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=math.ceil(len(encoder) / 64) * 64,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=tokenizer.CONTEXT,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        bos_token_id=encoder.pad_token_id,
        eos_token_id=encoder.eos_token_id,
        pad_token_id=encoder.pad_token_id,
    )


def fit(
    model: str, net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, steps: int, seed: int, peak: float
) -> None:
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    started, shown, tokens, losses = time.monotonic(), 0.0, 0, []
    for step, batch in enumerate(batches(model, encoder, seed), 1):
        # Causal attention never looks to the right, where the padding is: no mask is needed.
        hidden = net.model(input_ids=batch.ids, use_cache=False).last_hidden_state
        wanted = batch.labels != -100
        loss = functional.cross_entropy(net.lm_head(hidden[wanted]), batch.labels[wanted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        tokens += batch.ids.numel()
        losses.append(loss.item())
        elapsed = time.monotonic() - started
        if elapsed - shown > 15 or step == steps:
            shown = elapsed
            mean = sum(losses[-100:]) / len(losses[-100:])
            left = elapsed / step * (steps - step)
            print(
                f"{model}: step {step}/{steps}  loss {mean:.4f}  {tokens / elapsed:,.0f} tokens/s  "
                f"{elapsed:.0f} s gone, {left:.0f} s to go",
                flush=True,
            )
        if step == steps:
            return


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero, as a share of the peak."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)))


@torch.inference_mode()
def answers(net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, items: list[tasks.Item]) -> list[str | None]:
    """What the model answers greedily; None where it never left its think block."""
    encoder.padding_side = "left"
    found: list[str | None] = []
    for start in range(0, len(items), 64):
        chats = [[{"role": "user", "content": made.prompt}] for made in items[start : start + 64]]
        heads = [encoder.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
        inputs = encoder(heads, return_tensors="pt", padding=True)
        written = net.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            generation_config=GenerationConfig(
                max_new_tokens=256,
                do_sample=False,
                eos_token_id=encoder.eos_token_id,
                pad_token_id=encoder.pad_token_id,
            ),
        )
        for head, ids in zip(heads, written[:, inputs.input_ids.shape[1] :], strict=True):
            text = encoder.decode(ids, skip_special_tokens=True)
            thinks = head.endswith(dialogues.OPENINGS["thinking"])
            found.append(text if not thinks else text.partition("</think>")[2] if "</think>" in text else None)
    return found


def report(model: str, net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, count: int) -> None:
    """Accuracy per band and kind on questions that training never saw."""
    for band in ("easy", "unknown", "middle", "hard"):
        items = tasks.generate("eval", band, count, seed=1)
        right = [tasks.grade(made, said) for made, said in zip(items, answers(net, encoder, items), strict=True)]
        kinds = dict.fromkeys(made.kind for made in items)
        shares = {k: [r for made, r in zip(items, right, strict=True) if made.kind == k] for k in kinds}
        detail = "  ".join(f"{kind} {sum(hits) / len(hits):.2f}" for kind, hits in shares.items())
        print(f"{model}: {band} {sum(right) / len(right):.3f} of {len(right)}  ({detail})", flush=True)


def save(model: str, net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, folder: Path) -> None:
    encoder.padding_side = "right"
    encoder.save_pretrained(folder)
    net.generation_config = GenerationConfig(
        bos_token_id=encoder.pad_token_id,
        eos_token_id=[encoder.eos_token_id, encoder.pad_token_id],
        pad_token_id=encoder.pad_token_id,
        do_sample=True,
        top_k=20,
        **SAMPLING[model],
    )
    net.save_pretrained(folder)


def train(model: str, folder: Path, steps: int, seed: int, resume: bool) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    started = time.monotonic()
    if resume:
        encoder = PreTrainedTokenizerFast.from_pretrained(HERE / model)
        net = Qwen3ForCausalLM.from_pretrained(HERE / model, dtype=torch.float32).train()
    else:
        encoder = tokenizer.build([*dialogues.SYSTEM_PROMPTS, "system\nuser\nassistant\n"], chat_template(model))
        net = Qwen3ForCausalLM(architecture(encoder))
    print(f"{model}: {sum(p.numel() for p in net.parameters()) / 1e6:.2f}M parameters, {steps} steps", flush=True)
    fit(model, net, encoder, steps, seed, RESUMED_RATE if resume else PEAK_RATE)
    net.half()  # 11 bits of mantissa halve the file; what is reported below is what was stored
    save(model, net, encoder, folder)
    report(model, net.float().eval(), encoder, 500)
    print(f"{model}: done in {time.monotonic() - started:.0f} s, {folder}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", choices=["instruct", "thinking", "all"], help="`all` trains both at once, one core each"
    )
    parser.add_argument("--output", type=Path, default=HERE, help="folder for instruct/ and thinking/")
    parser.add_argument("--steps", type=int, help="instead of the model's own number (for trying things out)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the stored weights instead of from nothing")
    args = parser.parse_args()
    if args.model != "all":
        train(args.model, args.output / args.model, args.steps or STEPS[args.model], args.seed, args.resume)
        return 0
    rest = [f"--output={args.output}", f"--seed={args.seed}", *([f"--steps={args.steps}"] if args.steps else [])]
    rest += ["--resume"] if args.resume else []
    children = [subprocess.Popen([sys.executable, __file__, model, *rest]) for model in STEPS]
    return max(child.wait() for child in children)


if __name__ == "__main__":
    raise SystemExit(main())
