"""Every field of the encoder, once: the ground floor's config and fairseq's are this class.

Typed in the old style (no ``X | None``, no future import): omegaconf reads these annotations.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, Optional

from fairseq_budget.errors import BudgetError
from fairseq_budget.sizes import SIZES


def _field(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class EncoderConfig:
    """Fields keep fairseq's names; those that are None are filled in from ``size``."""

    size: str = _field("slim", f"a named size ({', '.join(SIZES)}); single dimensions override it")
    encoder_layers: Optional[int] = _field(None, "transformer layers")
    encoder_embed_dim: Optional[int] = _field(None, "width of the transformer")
    encoder_ffn_embed_dim: Optional[int] = _field(None, "width of the feed-forward networks")
    encoder_attention_heads: Optional[int] = _field(None, "attention heads")
    final_dim: Optional[int] = _field(None, "width of the space in which targets are compared")
    conv_dim: Optional[int] = _field(None, "channels of the convolutional front-end")
    conv_pos: Optional[int] = _field(None, "kernel of the positional convolution, in frames")
    conv_pos_groups: int = _field(16, "groups of the positional convolution")
    conv_bias: bool = _field(False, "biases in the front-end's convolutions")
    extractor_mode: str = _field(
        "default", "front-end norm: 'default' (over time, first layer) or 'layer_norm' (all layers)"
    )
    normalize: bool = _field(False, "bring each waveform to zero mean and unit variance first")
    layer_norm_first: bool = _field(False, "pre-norm layers (True) or post-norm (False)")
    dropout: float = _field(0.1, "dropout in the transformer")
    attention_dropout: float = _field(0.1, "dropout of attention weights")
    activation_dropout: float = _field(0.0, "dropout after the feed-forward activation")
    dropout_input: float = _field(0.1, "dropout of the projected front-end features")
    encoder_layerdrop: float = _field(0.05, "probability of skipping a layer in training")
    feature_grad_mult: float = _field(
        0.1, "factor on the gradient into the front-end; 0 freezes the front-end"
    )
    channel_mask_width: float = _field(
        0.0, "TERA's channel alteration: widest zeroed block, as a share of channels (TERA: 0.2)"
    )
    noise_prob: float = _field(
        0.0, "TERA's magnitude alteration: probability of noise for an utterance (TERA: 0.15)"
    )
    noise_std: float = _field(0.2, "standard deviation of the magnitude alteration")

    def resolved(self) -> "ResolvedConfig":
        """A copy with every None filled in from the table of sizes."""
        if self.size not in SIZES:
            raise BudgetError(f"model.size={self.size!r}: expected one of {', '.join(SIZES)}")
        values = {f.name: getattr(self, f.name) for f in fields(EncoderConfig)}
        for name, value in asdict(SIZES[self.size]).items():
            if values[name] is None:
                values[name] = value
        return ResolvedConfig(**values)

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "EncoderConfig":
        """The encoder's fields out of a larger mapping (a model config, a config.json)."""
        names = {f.name for f in fields(EncoderConfig)}
        return EncoderConfig(**{k: v for k, v in values.items() if k in names})


@dataclass
class ResolvedConfig(EncoderConfig):
    """An EncoderConfig whose dimensions are all known; made by ``resolved()``."""

    encoder_layers: int = 0
    encoder_embed_dim: int = 0
    encoder_ffn_embed_dim: int = 0
    encoder_attention_heads: int = 0
    final_dim: int = 0
    conv_dim: int = 0
    conv_pos: int = 0
