"""The convolutional front-end: waveform to 50 Hz features (wav2vec 2.0, section 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import CONV_GEOMETRY, num_frames_after
from fairseq_budget.nn.lengths import padding_mask


class TemporalNorm(nn.GroupNorm):
    """GroupNorm with one group per channel: statistics over time, valid frames only, in float32.

    fairseq takes the statistics over padding too, so there an utterance depends on its batch
    mates. Differs: here padded frames are left out, and come out as zero, if ``lengths`` are given.
    """

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # (B, C, T)
        weight, bias = self.weight.float(), self.bias.float()
        if lengths is None:
            return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)
        mask = padding_mask(lengths, x.shape[-1]).unsqueeze(1)
        count = lengths.clamp(min=1).view(-1, 1, 1)
        valid = x.float().masked_fill(mask, 0)
        centred = (valid - valid.sum(2, keepdim=True) / count).masked_fill(mask, 0)
        scale = torch.rsqrt(centred.square().sum(2, keepdim=True) / count + self.eps)
        out = centred * (scale * weight[:, None]) + bias[:, None]
        return out.masked_fill(mask, 0).to(x.dtype)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, T), in float32; frames never see each other."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        x32 = x.transpose(1, 2).float()
        out = F.layer_norm(x32, self.normalized_shape, weight, bias, self.eps)
        return out.transpose(1, 2).to(x.dtype)


class ConvLayer(nn.Sequential):
    """Conv1d, dropout, norm or nothing, GELU; positions in the Sequential are fairseq's.

    fairseq's layer-norm mode nests the norm between two transpositions, so its key is ``2.1``.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, bias: bool, norm: str
    ) -> None:
        conv = nn.Conv1d(channels_in, channels, kernel, stride, bias=bias)
        nn.init.kaiming_normal_(conv.weight)
        layers: list[nn.Module] = [conv, nn.Identity()]
        if norm == "time":
            layers.append(TemporalNorm(channels, channels))
        elif norm == "channel":
            layers.append(nn.Sequential(nn.Identity(), ChannelNorm(channels)))
        super().__init__(*layers, nn.GELU())
        self.norm = norm

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # (B, C, T)
        if self.norm != "time":
            return super().forward(x)
        return F.gelu(self[2](self[0](x), lengths))


class ConvFrontend(nn.Module):
    """Seven convolutions, 400 samples wide and 320 apart: (B, S) -> (B, C, T).

    mode ``default``: one norm over time after the first layer (half the activations that need
    normalising, so less memory); ``layer_norm``: one over channels after every layer.
    Padding: outputs of frames that lie wholly inside an utterance never depend on it.
    """

    def __init__(self, dim: int, mode: str, bias: bool) -> None:
        super().__init__()
        if mode not in ("default", "layer_norm"):
            raise BudgetError(f"extractor_mode {mode!r}: expected 'default' or 'layer_norm'")
        norms = ["channel"] * 7 if mode == "layer_norm" else ["time"] + [""] * 6
        self.conv_layers = nn.ModuleList(
            ConvLayer(dim if i else 1, dim, kernel, stride, bias, norms[i])
            for i, (kernel, stride) in enumerate(CONV_GEOMETRY)
        )

    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        x = wave.unsqueeze(1)
        for i, layer in enumerate(self.conv_layers, 1):
            lengths = None if num_samples is None else num_frames_after(num_samples, i)
            x = layer(x, lengths)
        return x
