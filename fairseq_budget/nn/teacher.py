"""A frozen encoder whose layers a student learns to predict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.encoder import SpeechEncoder


class Teacher(nn.Module):
    """States of ``layers`` (from 1: the output of the first) of an encoder, in float32.

    What lies above the last of them is not computed; the top layer is ``hidden_states[-1]``, so a
    pre-norm teacher's has the final LayerNorm, as s3prl's DistilHuBERT has it. ``dropout`` leaves
    it on, as the code of DistilHuBERT does; the default is off. Raises BudgetError for layers that
    are not there and for a teacher whose frames are not 20 ms apart.
    """

    def __init__(
        self, encoder: SpeechEncoder, layers: Sequence[int], dropout: bool = False
    ) -> None:
        super().__init__()
        num_layers = encoder.encoder.num_layers
        if not layers or not all(1 <= layer <= num_layers for layer in layers):
            raise BudgetError(
                f"model.teacher_layers={list(layers)}: the teacher has {num_layers} layers; name "
                f"some from 1 to {num_layers}"
            )
        if encoder.subsampler is not None:
            raise BudgetError(
                f"the teacher has model.subsample={encoder.config.subsample}: its frames are not "
                "20 ms apart; expected a teacher at 50 Hz"
            )
        if max(layers) < num_layers:  # else nothing, not even the final norm, lies above
            encoder.keep_layers(max(layers))
        encoder.encoder.turn_off_layer_drop()
        self.encoder = encoder.requires_grad_(False)
        self.layers = list(layers)
        self.dropout = dropout
        self.train()

    @property
    def dim(self) -> int:
        return self.encoder.config.output_dim

    def train(self, mode: bool = True) -> Teacher:
        return super().train(mode and self.dropout)

    @torch.no_grad()
    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        """wave (B, S) float32 -> (B, T, N, D) float32."""
        with torch.autocast(wave.device.type, enabled=False):
            states = self.encoder(wave.float(), num_samples).hidden_states
        return torch.stack([states[layer] for layer in self.layers], dim=2)


def init_from_teacher(student: SpeechEncoder, teacher: SpeechEncoder) -> None:
    """Copy front-end, projection, positional convolution and the first layers ("DistilHuBERT").

    Of a Zipformer, the first stacks.

    The LayerNorm after the positional convolution is not copied, as there. Raises BudgetError,
    naming the first weight, if the two do not have the same dimensions.
    """
    body = ("encoder.pos_conv.", "encoder.layers.", "encoder.encoders.")
    prefixes = ("feature_extractor.", "post_extract_proj.", *body)
    source, target = teacher.state_dict(), student.state_dict()
    names = [name for name in target if name.startswith(prefixes)]
    for name in names:
        if name not in source or source[name].shape != target[name].shape:
            found = f"{list(source[name].shape)}" if name in source else "none"
            raise BudgetError(
                f"the student cannot begin as its teacher: {name} is {list(target[name].shape)} "
                f"here, {found} there; give model.size and its dimensions the teacher's, or set "
                "model.init_from_teacher=false"
            )
    student.load_state_dict({name: source[name] for name in names}, strict=False)
