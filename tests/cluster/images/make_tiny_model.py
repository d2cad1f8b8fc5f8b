"""Run by vLLM's own Python: write a very small Llama with random weights, a real tokenizer and a chat template into a folder."""

import random
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]  # of vLLM's environment, as the next two
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found]

_SEED = 1
_VOCABULARY = 1024
_CONTEXT = 32768  # some 300 tokens a second come from one CPU core: enough for a stream of 40 s, and twice that
_BOS, _EOS, _PAD = 0, 1, 2
_SPECIAL = ["<|bos|>", "<|eos|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]
_CHAT_TEMPLATE = (
    "<|bos|>{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|eos|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def sentences(count: int) -> list[str]:
    """Text to learn a vocabulary from: words of made-up syllables, so that what the model answers can be read aloud."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    chance = random.Random(_SEED)  # noqa: S311 # the same text each time
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(800)]
    return [" ".join(chance.choices(words, k=12)).capitalize() + "." for _ in range(count)]


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences(3000), trainer)
    if tokenizer.get_vocab_size() != _VOCABULARY:
        sys.exit(f"the text gave {tokenizer.get_vocab_size()} tokens, not {_VOCABULARY}: it needs more sentences")
    named = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=_SPECIAL[_BOS], eos_token=_SPECIAL[_EOS], pad_token=_SPECIAL[_PAD]
    )
    named.chat_template = _CHAT_TEMPLATE
    named.save_pretrained(folder)


def write_weights(folder: Path) -> None:
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=_CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.3,
        bos_token_id=_BOS,
        eos_token_id=_EOS,
        pad_token_id=_PAD,
        torch_dtype="bfloat16",
    )
    model = LlamaForCausalLM(config)
    # A special token never wins: each token shows as text, and no answer ends before its length.
    model.lm_head.weight.data[: len(_SPECIAL)] = 0
    model.to(torch.bfloat16).save_pretrained(folder)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.manual_seed(_SEED)
    write_tokenizer(folder)
    write_weights(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # the weights come as 0600, and the engine is another user


if __name__ == "__main__":
    main()
