"""s3prl's DistilHuBERT as ours: its names are fairseq's, its front-end has no LayerNorm behind."""

from __future__ import annotations

from pathlib import Path

from fairseq_budget.files import sha256_file
from fairseq_budget.pretrained.inert import load_inert, plain
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.weights import check_fields, encoder_config, importing, placed

COMPUTED = {"activation_fn": "gelu", "attention_type": "original"}
DEFAULTS = {"encoder_attention_heads": 12, "layer_norm_first": False}  # s3prl's
_HEAD = "output_layer."


def import_distiller(path: str | Path) -> Pretrained:
    """The student in a ``.ckpt`` of s3prl's ``distiller``; its heads go, as training is over.

    Raises BudgetError for another file, and for fields or weights that have no place here.
    """
    path = Path(path)
    checkpoint = load_inert(path)
    expected = "a DistilHuBERT of s3prl: a .ckpt of its distiller, with Distiller and Config in it"
    with importing(path, expected):
        given = plain(checkpoint["Config"])["distiller"]
        check_fields(given, COMPUTED)
        weights = {k: v for k, v in checkpoint["Distiller"].items() if not k.startswith(_HEAD)}
        fields = {name: given.get(name, default) for name, default in DEFAULTS.items()}
        fields |= {
            "conv_feature_layers": given.get("extractor_conv_feature_layers", ""),
            "feature_layer_norm": False,
            "mask_embedding": False,
        }
        encoder = encoder_config(weights, fields)
        state = placed(weights, encoder, {})
    provenance = {"imported_from": path.name, "checkpoint_sha256": sha256_file(path)}
    return Pretrained("budget_distilhubert", encoder, {}, state, provenance)
