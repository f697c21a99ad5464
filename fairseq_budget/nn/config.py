"""Every field of the encoder, once: the ground floor's config and fairseq's are this class.

Typed in the old style (no ``X | None``, no future import): omegaconf reads these annotations.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Dict, Optional, get_args

from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.sizes import SIZES, ZipformerSize
from fairseq_budget.structured import Range, conform

LARGEST_DIMENSION = 1 << 16
FRONTENDS = ("conv", "logmel")


def _field(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class EncoderConfig:
    """Fields keep fairseq's names; those that are None are filled in from ``size``."""

    size: str = _field("slim", f"a named size ({', '.join(SIZES)}); single dimensions override it")
    encoder_type: Optional[str] = _field(
        None, "'transformer' or 'zipformer'; None: the size's, which it may not contradict"
    )
    encoder_layers: Optional[int] = _field(
        None, "transformer layers, or the first Zipformer stacks"
    )
    encoder_embed_dim: Optional[int] = _field(None, "width of the transformer")
    encoder_ffn_embed_dim: Optional[int] = _field(None, "width of its feed-forward networks")
    encoder_attention_heads: Optional[int] = _field(None, "its attention heads")
    final_dim: Optional[int] = _field(None, "width of the space in which targets are compared")
    frontend: str = _field(
        "conv",
        "'conv', seven convolutions of the waveform, or 'logmel', a layer on log-mel frames",
    )
    conv_dim: Optional[int] = _field(None, "channels of the front-end")
    conv_pos: Optional[int] = _field(None, "its positional convolution's kernel, in frames")
    conv_pos_groups: int = _field(16, "groups of the positional convolution")
    conv_bias: bool = _field(False, "biases in the convolutions of frontend=conv")
    extractor_mode: str = _field(
        "default", "norm of frontend=conv: 'default' (over time, first layer) or 'layer_norm' (all)"
    )
    normalize: bool = _field(False, "bring each waveform to zero mean and unit variance first")
    layer_norm_first: bool = _field(
        False, "pre-norm layers (True) or post-norm (False); of no matter to a Zipformer"
    )
    feature_layer_norm: bool = _field(
        True, "LayerNorm between front-end and projection; the DistilHuBERT student has none"
    )
    mask_embedding: bool = _field(True, "an embedding for hidden frames; students hide none")
    subsample: str = _field(
        "none",
        "shorten the front-end's output: 'none', 'average', 'conv', 'cif' (segments that the model "
        "finds), 'segments' (those of a file)",
    )
    subsample_rate: float = _field(
        2.0, "frames per segment; of 'cif' the mean one at the start; no matter for 'segments'"
    )
    upsample: bool = _field(
        False,
        "bring the output back to 50 Hz: 'conv' by a transposed convolution, others by repeating",
    )
    dropout: float = _field(0.1, "dropout in the transformer; a Zipformer has its own")
    attention_dropout: float = _field(0.1, "the transformer's dropout of attention weights")
    activation_dropout: float = _field(0.0, "the transformer's after the feed-forward activation")
    dropout_input: float = _field(0.1, "dropout of the projected front-end features")
    encoder_layerdrop: float = _field(
        0.05, "probability of skipping a transformer layer in training; a Zipformer has schedules"
    )
    zipformer_dropout: Optional[float] = _field(
        None, "the Zipformer's in feed-forward networks; None: falls from 0.3 to 0.1"
    )
    balancers: bool = _field(
        True, "Zipformer, training: gradients that keep channels' means and magnitudes in range"
    )
    whiten: bool = _field(True, "Zipformer, training: gradients that decorrelate channels")
    mask_padding: bool = _field(
        True,
        "padding never changes a valid frame or the feature penalty; false: as in fairseq and "
        "k2SSL it does, in the front-end's norm over time and throughout a Zipformer",
    )
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
        """A copy with every None filled in from the table of sizes.

        Raises BudgetError for an unknown size, for fields that contradict it, and for values that
        no encoder can have: configs of checkpoints may hold anything.
        """
        _check_types(self)
        if self.size not in SIZES:
            raise BudgetError(f"model.size={self.size!r}: {expected_one_of(self.size, SIZES)}")
        size = SIZES[self.size]
        if self.frontend not in FRONTENDS:
            expected = expected_one_of(self.frontend, FRONTENDS)
            raise BudgetError(f"model.frontend={self.frontend!r}: {expected}")
        if self.encoder_type not in (None, size.encoder_type):
            raise BudgetError(_contradiction(self.size, str(self.encoder_type)))
        if isinstance(size, ZipformerSize):
            _check_stacks(self, size)
        values = {f.name: getattr(self, f.name) for f in fields(EncoderConfig)}
        for name, value in size.dimensions().items():
            if values[name] is None:
                values[name] = value
        resolved = ResolvedConfig(**{**values, "encoder_type": size.encoder_type})
        if resolved.zipformer is None:
            _check_transformer(resolved)
        return resolved

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "EncoderConfig":
        """The encoder's fields out of a larger mapping (a model config, a config.json)."""
        names = {f.name for f in fields(EncoderConfig)}
        return EncoderConfig(**{k: v for k, v in values.items() if k in names})


# How an encoder is trained, not what it is: fine-tuning and restarts may choose it anew.
TRAINING_FIELDS = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "dropout_input",
    "encoder_layerdrop",
    "zipformer_dropout",
    "balancers",
    "whiten",
    "feature_grad_mult",
    "channel_mask_width",
    "noise_prob",
    "noise_std",
)


@dataclass
class ResolvedConfig(EncoderConfig):
    """An EncoderConfig whose dimensions are all known; made by ``resolved()``.

    Of a Zipformer, dimensions that each stack has for itself are 0: see ``zipformer``.
    """

    encoder_type: str = "transformer"
    encoder_layers: int = 0
    encoder_embed_dim: int = 0
    encoder_ffn_embed_dim: int = 0
    encoder_attention_heads: int = 0
    final_dim: int = 0
    conv_dim: int = 0
    conv_pos: int = 0

    @property
    def zipformer(self) -> Optional[ZipformerSize]:
        """All dimensions of a Zipformer; None for a transformer."""
        size = SIZES[self.size]
        if not isinstance(size, ZipformerSize):
            return None
        return replace(size.first_stacks(self.encoder_layers), conv_dim=self.conv_dim)

    @property
    def input_dim(self) -> int:
        """Width of what enters transformer or Zipformer, and of the mask embedding."""
        return self.zipformer.encoder_embed_dim[0] if self.zipformer else self.encoder_embed_dim

    @property
    def output_dim(self) -> int:
        """Width of all hidden states, on which heads work."""
        return self.zipformer.output_dim if self.zipformer else self.encoder_embed_dim


def _check_types(config: EncoderConfig) -> None:
    for each in fields(EncoderConfig):
        kind = each.type
        if int in (get_args(kind) or (kind,)):
            number = Annotated[int, Range(0, LARGEST_DIMENSION)]
            kind = number if kind is int else Optional[number]
        try:
            conform(getattr(config, each.name), kind, f"model.{each.name}")
        except ValueError as error:
            raise BudgetError(str(error)) from error


def _check_transformer(config: ResolvedConfig) -> None:
    names = ("encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads", "conv_dim")
    for name in (*names, "conv_pos", "conv_pos_groups"):
        if not getattr(config, name):
            raise BudgetError(f"model.{name}=0: expected 1 at least")
    if config.encoder_embed_dim % config.conv_pos_groups:
        raise BudgetError(
            f"model.conv_pos_groups={config.conv_pos_groups} does not divide "
            f"model.encoder_embed_dim={config.encoder_embed_dim}"
        )


def _check_stacks(config: EncoderConfig, size: ZipformerSize) -> None:
    for name, value in size.dimensions().items():
        given = getattr(config, name)
        if given and not value:
            raise BudgetError(
                f"model.{name}={given}: each stack of {config.size} has its own; leave it null"
            )
    num_stacks, given = len(size.encoder_layers), config.encoder_layers
    if given is not None and not 1 <= given <= num_stacks:
        raise BudgetError(
            f"model.encoder_layers={given}: {config.size} has {num_stacks} stacks; expected how "
            f"many of the first ones to keep, 1 to {num_stacks}, or null"
        )


def _contradiction(size: str, encoder_type: str) -> str:
    of_type = [name for name, known in SIZES.items() if known.encoder_type == encoder_type]
    expected = f"a size of that type: {', '.join(of_type)}" if of_type else "transformer, zipformer"
    return f"model.encoder_type={encoder_type} with model.size={size}: expected {expected}"
