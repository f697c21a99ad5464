"""The Zipformer's block: its modules by their formulas, and their order."""

import torch
import torch.nn.functional as F

from fairseq_budget.nn.zipformer.block import Convolution, FeedForward, ZipformerLayer
from fairseq_budget.nn.zipformer.layers import SWOOSH_L, SWOOSH_R, swoosh
from fairseq_budget.sizes import ZipformerSize
from tests.nn.zipformer.drawn import noise

SIZE = ZipformerSize(
    encoder_layers=(1,), encoder_embed_dim=(12,), encoder_ffn_embed_dim=(16,), unmasked_dim=(12,),
    encoder_attention_heads=(2,), conv_kernel=(5,), downsampling=(1,), pos_dim=8,
)  # fmt: skip


def test_feed_forward_is_its_formula():
    torch.manual_seed(0)
    module, x = FeedForward(6, 10, dropout=0.5), 5 * noise(2, 4, 6)
    hidden = swoosh(module.in_proj(x), SWOOSH_L)
    expected = F.linear(hidden, module.out_proj.weight, module.out_proj.bias)
    torch.testing.assert_close(module(x), expected)


def test_the_convolution_module_is_its_formula():
    torch.manual_seed(0)
    module, x = Convolution(6, 5), noise(2, 7, 6)
    gated = F.glu(module.in_proj(x), dim=2)
    kernel, bias = module.depthwise_conv.weight[:, 0], module.depthwise_conv.bias
    windows = F.pad(gated, (0, 0, 2, 2)).unfold(1, 5, 1)  # (B, T, C, 5)
    convolved = (windows * kernel).sum(3) + bias
    expected = F.linear(swoosh(convolved, SWOOSH_R), module.out_proj.weight, module.out_proj.bias)
    torch.testing.assert_close(module(x, None), expected)


def test_the_convolution_sees_padding_as_silence():
    torch.manual_seed(0)
    module, x = Convolution(6, 5), noise(1, 7, 6)
    mask = torch.tensor([[False] * 4 + [True] * 3])
    torch.testing.assert_close(module(x, mask)[:, :4], module(x[:, :4], None))


def test_a_layer_is_its_modules_in_the_published_order():
    torch.manual_seed(0)
    layer = ZipformerLayer(SIZE, 0, dropout=0.0, skip_prob=0.0)
    x, positions = noise(2, 5, 12), noise(9, 8, seed=1)
    with torch.no_grad():
        weights = layer.self_attn_weights(x, positions, None)
        y = x + layer.feed_forward1(x)
        y = y + layer.nonlin_attention(y, weights[:, 0])
        y = y + layer.self_attn1(y, weights)
        y = y + layer.conv_module1(y, None)
        y = y + layer.feed_forward2(y)
        y = x + (y - x) * layer.bypass_mid.bypass_scale
        y = y + layer.self_attn2(y, weights)
        y = y + layer.conv_module2(y, None)
        y = y + layer.feed_forward3(y)
        scale = layer.norm.log_scale.exp() / (y - layer.norm.bias).square().mean(2, True).sqrt()
        y = x + (y * scale - x) * layer.bypass.bypass_scale
    torch.testing.assert_close(layer(x, positions, None), y, atol=1e-5, rtol=1e-4)
