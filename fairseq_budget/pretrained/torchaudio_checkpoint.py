"""torchaudio's wav2vec 2.0 and HuBERT as ours: the state dict of ``torchaudio.models`` in a file.

It holds weights only. Attention heads, where the LayerNorms stand and whether waveforms are
normalised are arguments of the function that built the model, and the user says them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from fairseq_budget.files import sha256_file
from fairseq_budget.pretrained.inert import load_inert
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.transformers_names import from_transformers
from fairseq_budget.pretrained.weights import encoder_config, importing, placed

_HEADS = ("aux.", "logit_generator.")
_PREFIXES = {  # of names there, and in transformers
    "encoder.feature_projection.": "feature_projection.",
    "encoder.transformer.": "encoder.",
    "mask_generator.mask_embedding": "masked_spec_embed",
}


def import_torchaudio(
    path: str | Path, *, num_heads: int, norm_first: bool, normalize: bool = False
) -> Pretrained:
    """The state dict of ``wav2vec2_model``, ``hubert_pretrain_model`` or one of their builders.

    num_heads, norm_first: ``encoder_num_heads`` and ``encoder_layer_norm_first`` of its function;
    ``normalize``: it was trained on normalised waveforms. Heads (``aux``, ``logit_generator``) are
    left out. Raises BudgetError for another file, with what it is, and for weights that have no
    place here, by name.
    """
    path = Path(path)
    state = load_inert(path)
    expected = "a state dict of torchaudio's wav2vec2_model, as torch.save wrote it"
    with importing(path, expected):
        weights = from_transformers(_renamed(state))
        fields = {
            "encoder_attention_heads": num_heads,
            "layer_norm_first": norm_first,
            "normalize": normalize,
            "mask_embedding": "mask_emb" in weights,
        }
        encoder = encoder_config(weights, fields)
        placed_weights = placed(weights, encoder, {})
    is_hubert = any(name.startswith("logit_generator.") for name in state)
    model = "budget_hubert" if is_hubert else "budget_wav2vec2"
    provenance = {"imported_from": path.name, "checkpoint_sha256": sha256_file(path)}
    return Pretrained(model, encoder, {}, placed_weights, provenance)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's weights as transformers names them."""
    weights = {}
    for name, value in state.items():
        name = name.removeprefix("wav2vec2.")
        for there, here in _PREFIXES.items():
            if name.startswith(there):
                name = here + name.removeprefix(there)
                break
        if not name.startswith(_HEADS):
            weights[name] = value
    return weights
