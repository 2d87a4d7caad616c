"""Train the miniatures: `python deploy/engine/train.py instruct|thinking|all|kat`.

Each model is a Qwen3 of 0.7M parameters; its loss counts only what it writes itself. The pair begins from nothing, the
model that judges itself from the stored weights of the thinking one, whose work it only has to put into another form.
Seeds are fixed and a process uses one thread, so the same versions of the libraries on the same kind of machine give
the same weights.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one core per model

import dialogues
import tasks
import tokenizer
import torch
from tokenizers import AddedToken
from torch.nn import functional
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
PEAK_RATE = 2e-3
RESUMED_RATE = 1e-3
WARMUP_STEPS = 100
BATCH_TOKENS = 2048
STEPS = {"instruct": 3000, "thinking": 4200, "kat": 2400}
PAIR = ("instruct", "thinking")
LOOK_STEPS = 400  # a checkpoint and a look at the accuracy after so many
LOOK_QUESTIONS = 100
# What the makers of the three families recommend; the gateway's own defaults win over them.
SAMPLING = {
    "instruct": {"temperature": 0.7, "top_p": 0.8},
    "thinking": {"temperature": 0.6, "top_p": 0.95},
    "kat": {"temperature": 0.6, "top_p": 0.95},
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids (rows, length), padded on the right, and the ids to predict, -100 where the loss does not look."""

    ids: torch.Tensor
    labels: torch.Tensor


def chat_template(model: str) -> str:
    """The file chat.jinja behind what is the model's own: how its answers open, whether they carry tags."""
    opening = json.dumps(dialogues.OPENINGS[model])
    own = "{%- set opening = " + opening + " -%}\n"
    if model == "kat":
        own += "{%- set answer_tags = true -%}\n"
    return own + (HERE / "chat.jinja").read_text(encoding="utf-8")


def build_tokenizer(model: str) -> PreTrainedTokenizerFast:
    return tokenizer.build([*dialogues.SYSTEM_PROMPTS, "system\nuser\nassistant\n"], chat_template(model))


def begin(model: str, resume: bool) -> tuple[PreTrainedTokenizerFast, Qwen3ForCausalLM]:
    """The tokenizer and the weights to begin with: the stored ones, the thinking model's, or none."""
    if resume:
        encoder = PreTrainedTokenizerFast.from_pretrained(HERE / model)
        return encoder, Qwen3ForCausalLM.from_pretrained(HERE / model, dtype=torch.float32).train()
    if model != "kat":
        encoder = build_tokenizer(model)
        return encoder, Qwen3ForCausalLM(architecture(encoder))
    encoder = PreTrainedTokenizerFast.from_pretrained(HERE / "thinking")
    # As <think> is: a token of its own, yet not special, so that the text keeps it.
    encoder.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in dialogues.KAT_TAGS])
    encoder.chat_template = chat_template(model)
    net = Qwen3ForCausalLM.from_pretrained(HERE / "thinking", dtype=torch.float32).train()
    net.resize_token_embeddings(architecture(encoder).vocab_size)
    return encoder, net


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
    model: str,
    net: Qwen3ForCausalLM,
    encoder: PreTrainedTokenizerFast,
    steps: int,
    seed: int,
    peak: float,
    look: Callable[[int], None],
) -> None:
    """`look` is called with the step's number after every LOOK_STEPS but the last."""
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
        if step % LOOK_STEPS == 0:
            look(step)


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero, as a share of the peak."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)))


@torch.inference_mode()
def answers(
    model: str, net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, items: list[tasks.Item]
) -> list[tuple[str | None, str]]:
    """What the model answers greedily and its own verdict; None where it never came to an answer."""
    encoder.padding_side = "left"
    found: list[tuple[str | None, str]] = []
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
        for ids in written[:, inputs.input_ids.shape[1] :]:
            found.append(dialogues.read(model, encoder.decode(ids, skip_special_tokens=True)))
    return found


def report(model: str, net: Qwen3ForCausalLM, encoder: PreTrainedTokenizerFast, count: int) -> None:
    """Accuracy per band and kind on questions that training never saw, and how often its own verdict is right."""
    for band in ("easy", "unknown", "middle", "hard"):
        items = tasks.generate("eval", band, count, seed=1)
        said = answers(model, net, encoder, items)
        right = [tasks.grade(made, answer) for made, (answer, _) in zip(items, said, strict=True)]
        kinds = dict.fromkeys(made.kind for made in items)
        shares = {k: [r for made, r in zip(items, right, strict=True) if made.kind == k] for k in kinds}
        detail = "  ".join(f"{kind} {sum(hits) / len(hits):.2f}" for kind, hits in shares.items())
        line = f"{model}: {band} {sum(right) / len(right):.3f} of {len(right)}  ({detail})"
        if model == "kat":
            agreed = [verdict == wanted(made) for made, (_, verdict) in zip(items, said, strict=True)]
            line += f"  verdict {sum(agreed) / len(agreed):.3f}"
        print(line, flush=True)


def wanted(asked: tasks.Item) -> str:
    """The verdict that is right, as `dialogues.read` spells it."""
    return dialogues.VERDICTS[asked.hard].strip("<>")


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
    encoder, net = begin(model, resume)
    print(f"{model}: {sum(p.numel() for p in net.parameters()) / 1e6:.2f}M parameters, {steps} steps", flush=True)

    def look(step: int) -> None:
        net.eval()
        save(model, net, encoder, folder / f"step-{step}")
        report(model, net, encoder, LOOK_QUESTIONS)
        net.train()

    from_nothing = not resume and model in PAIR
    fit(model, net, encoder, steps, seed, PEAK_RATE if from_nothing else RESUMED_RATE, look)
    net.half()  # 11 bits of mantissa halve the file; what is reported below is what was stored
    save(model, net, encoder, folder)
    report(model, net.float().eval(), encoder, 500)
    spent = f"{time.monotonic() - started:.0f} s, {time.process_time():.0f} s of one core"
    print(f"{model}: done in {spent}, {folder}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", choices=[*STEPS, "all"], help="`all` trains instruct and thinking at once, one core each"
    )
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the models' folders")
    parser.add_argument("--steps", type=int, help="instead of the model's own number (for trying things out)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the model's own stored weights")
    args = parser.parse_args()
    if args.model != "all":
        train(args.model, args.output / args.model, args.steps or STEPS[args.model], args.seed, args.resume)
        return 0
    rest = [f"--output={args.output}", f"--seed={args.seed}", *([f"--steps={args.steps}"] if args.steps else [])]
    rest += ["--resume"] if args.resume else []
    children = [subprocess.Popen([sys.executable, __file__, model, *rest]) for model in PAIR]
    return max(child.wait() for child in children)


if __name__ == "__main__":
    raise SystemExit(main())
