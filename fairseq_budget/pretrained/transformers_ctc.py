"""Letters and head of transformers' CTC models: ``vocab.json``, its tokenizer's files, ``lm_head``.

Its tokenizer has CTC's blank where it pads, and names its special symbols as it likes; here they
have fairseq's names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import write_json
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC_HEAD, SPECIAL_SYMBOLS, WORD_END, Vocabulary
from fairseq_budget.structured import read_json

VOCABULARY_FILE, TOKENIZER_FILE = "vocab.json", "tokenizer_config.json"
SPECIAL_FILE, ADDED_FILE = "special_tokens_map.json", "added_tokens.json"
TOKENIZERS = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")  # the latter's is an older name
_HEAD = "lm_head."
_BLANK, _OUR_BLANK = "<pad>", "<s>"
_SPECIAL = {"pad_token": _BLANK, "bos_token": _OUR_BLANK, "eos_token": "</s>", "unk_token": "<unk>"}
_DELIMITER = "word_delimiter_token"


def has_letters(folder: Path, state: Mapping[str, Tensor]) -> bool:
    """Whether a folder with these weights is a recogniser that says what its classes are."""
    return f"{_HEAD}weight" in state and (folder / VOCABULARY_FILE).is_file()


def read_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of its CTC layer by our names."""
    return {
        name.replace(_HEAD, CTC_HEAD): value
        for name, value in state.items()
        if name.startswith(_HEAD)
    }


def read_letters(folder: Path, config: Mapping[str, Any], num_classes: int) -> Vocabulary:
    """What the classes of its head stand for.

    Raises BudgetError for a tokenizer that is none of letters, for a class without a symbol, and
    where the blank of its tokenizer is not that of its loss.
    """
    tokenizer = _optional(folder / TOKENIZER_FILE, dict[str, Any])
    kind = tokenizer.get("tokenizer_class")
    if kind not in (None, *TOKENIZERS):
        raise BudgetError(
            f"its tokenizer is {kind!r}: expected letters, as of {TOKENIZERS[0]}; import it "
            "with --encoder-only, without its head"
        )
    names = _names(tokenizer | _optional(folder / SPECIAL_FILE, dict[str, Any]))
    classes = _optional(folder / ADDED_FILE, dict[str, int])
    classes |= read_json(folder / VOCABULARY_FILE, dict[str, int])
    found = {number: symbol for symbol, number in classes.items()}
    if missing := [number for number in range(num_classes) if number not in found]:
        raise BudgetError(
            f"{VOCABULARY_FILE} has no symbol for class {missing[0]} of its {num_classes}: import "
            "it with --encoder-only, without its head"
        )
    is_lower = tokenizer.get("do_lower_case", False)
    letters = [found[number] for number in range(num_classes)]
    symbols = [names.get(s) or (s.lower() if is_lower else s) for s in letters]
    blank = config.get("pad_token_id", 0)
    if _BLANK not in symbols or symbols.index(_BLANK) != blank:
        raise BudgetError(
            f"class {blank} is the blank of its loss (pad_token_id), and its tokenizer's "
            f"({names.get('pad_token', _BLANK)!r}) is another: import it with --encoder-only, "
            "without its head"
        )
    if _OUR_BLANK in symbols:
        symbols = _swapped(symbols, blank, symbols.index(_OUR_BLANK))
    return Vocabulary(symbols, blank)


def _swapped(symbols: Sequence[str], one: int, other: int) -> list[str]:
    """Its blank is `<pad>`, fairseq's `<s>`: each has the name of the other."""
    found = list(symbols)
    found[one], found[other] = found[other], found[one]
    return found


def _optional(path: Path, kind: Any) -> Any:
    return read_json(path, kind) if path.is_file() else {}


def _names(tokenizer: Mapping[str, Any]) -> dict[str, str]:
    """How its special symbols and its end of a word are called here, by its own names."""
    ours = {**_SPECIAL, _DELIMITER: WORD_END}
    theirs = {key: tokenizer.get(key, name) for key, name in ours.items()}
    contents = {
        key: name.get("content") if isinstance(name, dict) else name for key, name in theirs.items()
    }
    return {str(contents[key]): name for key, name in ours.items() if contents[key] is not None}


def letters_of(vocabulary: Vocabulary | None) -> list[str]:
    """Every class's symbol, as transformers' CTC tokenizer has them; BudgetError for others."""
    if vocabulary is None:
        raise BudgetError(
            "this recogniser was written before checkpoints held their dictionary: there is no "
            "tokenizer to write; fine-tune again, or export without --to"
        )
    symbols = vocabulary.symbols
    if vocabulary.word_pieces is not None or any(
        len(s) > 1 for s in symbols if s not in SPECIAL_SYMBOLS
    ):
        raise BudgetError(
            "the classes of this recogniser are word pieces or phones: transformers' CTC tokenizer "
            f"joins letters with {WORD_END} between words; fine-tune with task.labels=ltr"
        )
    return _swapped(symbols, symbols.index(_BLANK), vocabulary.blank)


def head_config(class_name: str, symbols: list[str]) -> dict[str, Any]:
    """Fields of its ``config.json`` that a CTC layer adds; the blank is that of its loss, too."""
    numbers = {"pad_token_id": _BLANK, "bos_token_id": _OUR_BLANK, "eos_token_id": "</s>"}
    return {
        "architectures": [f"{class_name}ForCTC"],
        "vocab_size": len(symbols),
        **{key: symbols.index(name) for key, name in numbers.items() if name in symbols},
    }


def head_state(checkpoint: Pretrained) -> dict[str, Tensor]:
    """The inverse of `read_head`, in float32."""
    return {
        name.replace(CTC_HEAD, _HEAD): value.float()
        for name, value in checkpoint.state.items()
        if name.startswith(CTC_HEAD)
    }


def write_tokenizer(folder: Path, symbols: list[str]) -> None:
    """Write what ``AutoProcessor`` reads beside the feature extractor's file."""
    tokenizer = {
        "tokenizer_class": TOKENIZERS[0],
        "processor_class": "Wav2Vec2Processor",
        _DELIMITER: WORD_END,
        "replace_word_delimiter_char": " ",
        "do_lower_case": False,
        **_SPECIAL,
    }
    write_json(folder / VOCABULARY_FILE, {symbol: i for i, symbol in enumerate(symbols)})
    write_json(folder / TOKENIZER_FILE, tokenizer)
    write_json(folder / SPECIAL_FILE, dict(_SPECIAL))
