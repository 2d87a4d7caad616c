"""The miniature pair's tokenizer: one token per digit, sign and Chinese character, bytes for all that it has not seen.

Arithmetic has to be digit-wise, hence no merge may cross a digit or a sign; only words of Latin letters are merged
(with the space before them). Every UTF-8 text tokenizes, since the alphabet holds all 256 bytes.
"""

from collections.abc import Iterator

import tasks
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# As in Qwen3 these are added but not special: vLLM's parsers look for them in the decoded text.
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
PIECES = Regex(r" ?[A-Za-z][a-z]+|\p{L}|\p{N}|[^\s\p{L}\p{N}]|\s")
VOCABULARY = 1024
CONTEXT = 4096


def corpus(extra: list[str]) -> Iterator[str]:
    """Every band's questions and answers, and the texts that no task holds (templates, system prompts)."""
    for band in tasks.BANDS:
        for made in tasks.generate("train", band, 4000):
            yield f"{made.prompt}\n{made.reasoning}\n{made.answer}"
    yield from extra * 50


def build(extra: list[str], chat_template: str) -> PreTrainedTokenizerFast:
    """Train the tokenizer from nothing, in seconds; `extra` are texts that it should know beyond the tasks."""
    bpe = Tokenizer(models.BPE(unk_token=None))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = VOCABULARY - len(SPECIAL) - len(MARKS)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(corpus(extra), trainer)
    bpe.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in SPECIAL])
    bpe.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )
    fast.chat_template = chat_template
    return fast
