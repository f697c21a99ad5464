"""Losses, segments, decoding, and what is drawn, on the device beside the CPU: torch alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.budget.timing import DTYPES
from gpu_checks.registry import ALLOWED, Options, Row, alike, check, compared, noise


@check("losses")
def losses(options: Options) -> Iterator[Row]:
    for name, loss in LOSSES.items():
        found, expected = (
            _loss_and_gradient(loss, torch.device(device)) for device in (options.device, "cpu")
        )
        yield compared(name, found[0], expected[0], 1e-3)
        yield compared(f"{name}: gradient", found[1], expected[1], ALLOWED["fp32"])


def _loss_and_gradient(
    loss: Callable[[Tensor], Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    x = noise(4, 100, 64).to(device).requires_grad_()
    total = loss(x)
    return total, torch.autograd.grad(total, x)[0]


def _hubert(x: Tensor) -> Tensor:
    from fairseq_budget.losses.masked_prediction import cluster_cross_entropy
    from fairseq_budget.nn.heads import ClusterHead

    torch.manual_seed(0)
    head = ClusterHead(64, 32, [50], kind="cosine", temperature=0.1).to(x.device)
    (logits,) = head(x.flatten(0, 1))
    return cluster_cross_entropy(logits, _symbols(400, 50).to(x.device)).sum


def _wav2vec2(x: Tensor) -> Tensor:
    from fairseq_budget.losses.contrastive import contrastive_logits, info_nce, sample_negatives

    counts, rows = torch.full((4,), 100), torch.arange(4).repeat_interleave(100)
    negatives = sample_negatives(counts, rows, 20, torch.Generator().manual_seed(0)).to(x.device)
    codes = _symbols(800, 320).view(400, 2).to(x.device)
    x = x.flatten(0, 1)
    target = noise(400, 64, seed=1).to(x.device)
    return info_nce(contrastive_logits(x, target, negatives, codes, temperature=0.1)).sum


def _tera(x: Tensor) -> Tensor:
    from fairseq_budget.audio.targets import AcousticTarget
    from fairseq_budget.losses.reconstruction import l1_reconstruction

    wave, lengths = 0.1 * noise(4, 32400, seed=1), torch.tensor([32400, 30000, 20000, 16000])
    target = AcousticTarget("mfcc", normalize=True)(wave.to(x.device), lengths.to(x.device))
    return l1_reconstruction(x[..., :39], target[:, :100, :39]).sum


def _distilhubert(x: Tensor) -> Tensor:
    from fairseq_budget.losses.distillation import layer_distances

    prediction, target = x.unflatten(2, (2, 32)), noise(4, 100, 2, 32, seed=1).to(x.device)
    return layer_distances(prediction, target, _padding(x.device)).loss(1.0).sum


def _cif(x: Tensor) -> Tensor:
    from fairseq_budget.losses.guidance import cardinality_loss, frame_loss, segment_loss
    from fairseq_budget.nn.subsample import WeightedSegments

    ends = torch.arange(4, 101, 4, device=x.device).expand(4, -1).contiguous()
    alphas = x[..., 0].sigmoid() / 2
    segments = WeightedSegments(alphas, _padding(x.device))
    terms = [cardinality_loss(alphas, segments.num_frames(), 4.0)]
    terms += [loss(alphas, ends) for loss in (segment_loss, frame_loss)]
    return sum((term.sum for term in terms), segments.pool(x).square().mean())


def _ctc(x: Tensor) -> Tensor:
    from fairseq_budget.asr.ctc import ctc_loss

    ends: dict[str, Any] = {"num_frames": _lengths(x.device), "num_symbols": _num_symbols(x.device)}
    return ctc_loss(x, _symbols(80, 60).view(4, 20).to(x.device) + 4, **ends).sum


def _transducer_head(x: Tensor) -> Any:
    from fairseq_budget.asr.predictor import TransducerHead

    torch.manual_seed(0)
    return TransducerHead(64, 64, decoder_dim=64, joiner_dim=64).to(x.device)


def _pruned(x: Tensor) -> Tensor:
    ends: dict[str, Any] = {"num_frames": _lengths(x.device), "num_symbols": _num_symbols(x.device)}
    found = _transducer_head(x)(x, _symbols(80, 60).view(4, 20).to(x.device) + 4, **ends)
    return found.simple.sum + found.pruned.sum


def _full(x: Tensor) -> Tensor:
    from fairseq_budget.asr.predictor import with_start
    from fairseq_budget.asr.transducer import transducer_loss

    head, symbols = _transducer_head(x), _symbols(80, 60).view(4, 20).to(x.device) + 4
    predicted = head.joiner.decoder_proj(head.decoder(with_start(symbols)))
    logits = head.joiner(head.joiner.encoder_proj(x).unsqueeze(2), predicted.unsqueeze(1))
    ends: dict[str, Any] = {"num_frames": _lengths(x.device), "num_symbols": _num_symbols(x.device)}
    return transducer_loss(logits, symbols, **ends).sum


LOSSES = {
    "HuBERT": _hubert,
    "wav2vec 2.0": _wav2vec2,
    "TERA, with its MFCC": _tera,
    "DistilHuBERT, padded": _distilhubert,
    "CIF and its guidance, padded": _cif,
    "CTC": _ctc,
    "transducer, simple and pruned": _pruned,
    "transducer, full lattice": _full,
}


def _symbols(count: int, vocab: int) -> Tensor:
    return torch.randint(vocab, (count,), generator=torch.Generator().manual_seed(count))


def _lengths(device: torch.device) -> Tensor:
    return torch.tensor([100, 90, 80, 60], device=device)


def _num_symbols(device: torch.device) -> Tensor:
    return torch.tensor([20, 12, 18, 5], device=device)


def _padding(device: torch.device) -> Tensor:
    return torch.arange(100, device=device) >= _lengths(device).unsqueeze(1)


@check("subsampling")
def subsampling(options: Options) -> Iterator[Row]:
    from fairseq_budget.nn.subsample import Subsampler

    for kind in ("average", "conv", "cif"):
        torch.manual_seed(0)
        module = Subsampler(kind, 2, 64).eval()
        expected = module(noise(4, 100, 64), _padding(torch.device("cpu")))
        for precision in options.precisions:
            dtype = DTYPES[precision]
            copied = copy.deepcopy(module).to(options.device, dtype)
            x = noise(4, 100, 64).to(options.device, dtype)
            found = copied(x, _padding(x.device))
            if kind == "cif" and precision != "fp32":  # another segment may fire
                yield {"what": f"{kind}, {precision}", "segments": int(found[1].lengths.sum()),
                       "CPU": int(expected[1].lengths.sum()),
                       "ok": bool(found[0].isfinite().all())}  # fmt: skip
                continue
            allowed = ALLOWED[precision]
            yield compared(f"{kind}, {precision}", found[0].float(), expected[0], allowed)
            yield compared(f"{kind}, {precision}: ends", found[1].ends(), expected[1].ends(), 1e-4)


@check("transducer decoding")
def decoding(options: Options) -> Iterator[Row]:
    from fairseq_budget.asr.decoding import beam_search, greedy_search

    x = 3 * noise(4, 100, 64)
    for search in (greedy_search, beam_search):
        on_device, on_cpu = (
            search(_transducer_head(at).eval(), at, _lengths(at.device))
            for at in (x.to(options.device), x)
        )
        yield alike(search.__name__, list(chain(*on_device)), list(chain(*on_cpu)))


@check("negatives and codes")
def drawing(options: Options) -> Iterator[Row]:
    from fairseq_budget.losses.contrastive import sample_negatives
    from fairseq_budget.nn.quantizer import GumbelQuantizer

    generator = torch.Generator(options.device).manual_seed(0)
    counts = _lengths(torch.device(options.device))
    rows = torch.repeat_interleave(counts)
    negatives = sample_negatives(counts, rows, 100, generator)
    own = torch.arange(len(rows), device=rows.device).unsqueeze(1)
    good = (rows[negatives] == rows.unsqueeze(1)) & (negatives != own)
    yield {"what": "negatives of the same utterance", "share": float(good.float().mean()),
           "ok": bool(good.all())}  # fmt: skip
    quantizer = GumbelQuantizer(64, num_vars=320, groups=2, vq_dim=64).to(options.device)
    found = quantizer(noise(400, 64).to(options.device), temperature=2.0, generator=generator)
    used = found.codes.unique().numel()
    yield {"what": "codes that are chosen", "share": used / 320, "ok": used > 100}
