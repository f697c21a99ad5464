"""A model card, README.md of an exported folder: what it is, what it was made with, how to load it.

Every code block below is run as it stands by tests/integration/test_cards.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.console.table import escaped, fenced, markdown_table
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import ResolvedConfig
from fairseq_budget.pretrained import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC, TRANSDUCER
from fairseq_budget.report.pages import write_page
from fairseq_budget.report.scored import Scored
from fairseq_budget.run.provenance import summary

CARD_FILE = "README.md"
OBJECTIVES = {  # by registered names, in words
    "budget_tera": "TERA (reconstruction of masked frames)",
    "budget_hubert": "HuBERT (prediction of masked clusters)",
    "budget_wav2vec2": "wav2vec 2.0 (contrastive)",
    "budget_distilhubert": "distillation of a teacher's layers",
    CTC: "speech recognition, CTC",
    TRANSDUCER: "speech recognition, transducer",
}
FRONTENDS = {"conv": "convolutions on the waveform", "logmel": "log-mel frames and a linear layer"}
LICENCE = (
    "None is stated. Whoever publishes this folder chooses one here and, on the Hugging Face Hub, "
    "in the lines above the title (`license:`); what the recordings allow is part of that choice. "
    "Those lines, and all from this heading on, stay as they are in an export into this folder."
)
_WRITTEN = re.compile(  # of a card: what people fill in
    r"(?P<above>---[ \t]*\n.*?^---[ \t]*\n)?.*?(?P<below>^## Licen[cs]e\b.*)",
    re.DOTALL | re.MULTILINE,
)

_OURS = """
import torch
from fairseq_budget.pretrained import load_pretrained
encoder = load_pretrained(".")
states = encoder(torch.zeros(16000)).hidden_states
"""
_OURS_SEGMENTS = """
import torch
from fairseq_budget.pretrained import load_pretrained
ends = torch.tensor([[20, 49]])  # of segments, in frames
states = load_pretrained(".")(torch.zeros(1, 16000), segment_ends=ends).hidden_states
"""
_S3PRL = """
import torch
from fairseq_budget.upstream import S3PRLUpstream
upstream = S3PRLUpstream("budget_upstream", path_or_url=".").eval()
states, lengths = upstream(torch.zeros(1, 16000), torch.tensor([16000]))
"""
_TRANSFORMERS = """
from transformers import AutoFeatureExtractor, AutoModel
extractor, model = AutoFeatureExtractor.from_pretrained("."), AutoModel.from_pretrained(".")
heard = extractor([0.0] * 16000, sampling_rate=16000, return_tensors="pt")
states = model(**heard, output_hidden_states=True).hidden_states
"""
_TRANSFORMERS_CTC = """
from transformers import AutoModelForCTC, AutoProcessor
processor, model = AutoProcessor.from_pretrained("."), AutoModelForCTC.from_pretrained(".")
heard = processor([0.0] * 16000, sampling_rate=16000, return_tensors="pt")
[text] = processor.batch_decode(model(**heard).logits.argmax(2))
"""
_FAIRSEQ = """
import torch
from fairseq import checkpoint_utils
[model], _, _ = checkpoint_utils.load_model_ensemble_and_task(["model.pt"])
states = model.eval().extract_features(torch.zeros(1, 16000), padding_mask=None, mask=False)
"""
_ONNX = """
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
wave, mask = np.zeros((1, 16000), np.float32), np.zeros((1, 16000), bool)
states = session.run(["hidden_states"], {"source": wave, "padding_mask": mask})[0]
"""
_ONNX_CTC = """
import json, numpy as np, onnxruntime
session, wave = onnxruntime.InferenceSession("model.onnx"), np.zeros((1, 16000), np.float32)
symbols = json.loads(session.get_modelmeta().custom_metadata_map["symbols"])
[[ids]] = session.run(["ids"], {"source": wave, "padding_mask": np.zeros((1, 16000), bool)})
text = "".join(symbols[i] for i in ids if i >= 0).replace("|", " ").replace("▁", " ").strip()
"""
_TORCH = """
import torch
program = torch.export.load("model.pt2").module()
wave, mask = torch.zeros(1, 16000), torch.zeros(1, 16000, dtype=torch.bool)
states = program(wave, mask)[0]
"""
_TORCH_CTC = """
import json, torch
program = torch.export.load("model.pt2", extra_files=(more := {"symbols": ""})).module()
*_, [ids] = program(torch.zeros(1, 16000), torch.zeros(1, 16000, dtype=torch.bool))
letters = [json.loads(more["symbols"])[i] for i in ids.tolist() if i >= 0]
text = "".join(letters).replace("|", " ").replace("▁", " ").strip()
"""


def write_card(
    folder: str | Path, checkpoint: Pretrained, tool: str, scores: Sequence[Scored] = ()
) -> bool:
    """Write ``README.md`` into a folder that was exported for a `tool` (``portable``: ours).

    Of a card that is there the lines above its title and all from its licence on are kept: they are
    for people to fill in. A file without that heading is no card, and stays; then this is False.
    """
    path, parts = Path(folder) / CARD_FILE, list(card(checkpoint, tool, scores))
    if path.is_file():
        written = _WRITTEN.fullmatch(_text(path))
        if written is None:
            return False
        above, below = (part and part.rstrip() for part in written.group("above", "below"))
        parts = [above or parts[0], *parts[1:-2], below]
    write_page(path, parts)
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return ""  # somebody's own


def card(checkpoint: Pretrained, tool: str, scores: Sequence[Scored] = ()) -> Iterator[str]:
    """The paragraphs of the card; names that somebody chose are escaped."""
    config, made = checkpoint.encoder.resolved(), checkpoint.provenance
    yield _front_matter(checkpoint, tool)
    yield f"# {escaped(_objective(checkpoint))}, size {escaped(config.size)}"
    origin = "trained with" if made.get("num_updates") else "in a format of"
    yield f"A speech encoder, {origin} fairseq_budget. It hears 16 kHz mono waveforms."
    yield _facts(_architecture(checkpoint, config))
    yield from ["## Training", _facts(_training(made)), *_commands(made)]
    if scores:
        yield from ["## Scores", *_scores(scores)]
    yield "## Loading it"
    yield "From within this folder; elsewhere name its path."
    if tool == "fairseq" and config.normalize:
        yield "Waveforms must be normalised before: zero mean, unit variance."
    for name, code in loading(checkpoint, tool).items():
        yield f"{name}:"
        yield fenced(code.strip(), "python")
    yield from ["## Licence", LICENCE]


def loading(checkpoint: Pretrained, tool: str) -> dict[str, str]:
    """Python that loads an exported folder and hears a second, by the names of packages."""
    if tool == "portable":
        if checkpoint.encoder.subsample == "segments":
            return {"fairseq_budget": _OURS_SEGMENTS}
        return {"fairseq_budget": _OURS, "s3prl": _S3PRL}
    if tool == "transformers":
        return {tool: _TRANSFORMERS_CTC if checkpoint.model == CTC else _TRANSFORMERS}
    says_letters = checkpoint.model == CTC and checkpoint.vocabulary is not None
    if tool == "onnx":
        return {"onnxruntime": _ONNX_CTC if says_letters else _ONNX}
    if tool == "torch":
        return {tool: _TORCH_CTC if says_letters else _TORCH}
    return {"fairseq": _FAIRSEQ}


def _front_matter(checkpoint: Pretrained, tool: str) -> str:
    """What the Hugging Face Hub reads; a licence is not ours to state."""
    is_recogniser = checkpoint.model in (CTC, TRANSDUCER)
    content = {
        "library_name": "fairseq_budget" if tool == "portable" else tool,
        "tags": ["speech", "audio", "fairseq_budget", checkpoint.model.removeprefix("budget_")],
        "pipeline_tag": "automatic-speech-recognition" if is_recogniser else "feature-extraction",
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---"


def _objective(checkpoint: Pretrained) -> str:
    return OBJECTIVES.get(checkpoint.model, checkpoint.model)


def _architecture(checkpoint: Pretrained, config: ResolvedConfig) -> dict[str, str]:
    is_short = config.subsample != "none"
    layers = config.encoder_layers if config.zipformer is None else "a Zipformer's stacks"
    own = checkpoint.state.values()
    return {
        "objective": _objective(checkpoint),
        "size": config.size,
        "parameters": f"{num_encoder_parameters(checkpoint.encoder):,} in the encoder, "
        f"{sum(weight.numel() for weight in own):,} with its heads",
        "layers": f"{layers}, width {config.output_dim}",
        "front-end": FRONTENDS[config.frontend],
        "frames": f"{FRAME_RATE_HZ} a second",
        "subsampling": f"{config.subsample}, {config.subsample_rate:g}" if is_short else "none",
        "waveforms": "normalised" if config.normalize else "as they are",
    }


def _training(made: Mapping[str, Any]) -> dict[str, str]:
    """What is known of it; of models that were imported, little is."""
    data, losses = (made.get("task") or {}).get("data"), made.get("losses") or {}
    numbers = (
        ("updates", "num_updates", "{:,}"),
        ("audio heard", "audio_hours", "{:,.2f} hours"),
        ("cost", "flops", "{:.3g} FLOPs"),
        ("fresh weights of seed", "untrained_seed", "{}"),
        ("imported from", "imported_from", "{}"),
        ("checkpoint, SHA-256", "checkpoint_sha256", "{}"),
    )
    known = {
        name: form.format(made[key]) for name, key, form in numbers if made.get(key) is not None
    }
    if data:
        known["folder of the manifests"] = Path(str(data)).name
    known |= {f"last {split} loss": f"{loss:.4g}" for split, loss in losses.items()}
    return known | {name: text for name, text in summary(made).items() if name != "command"}


def _commands(made: Mapping[str, Any]) -> Iterator[str]:
    """The preset, its overrides and the command of the last session."""
    sessions = made.get("sessions") or ()
    if not sessions:
        return
    command = str(sessions[-1].get("command"))
    try:
        words = shlex.split(command)
    except ValueError:  # of a name with a lonely quote
        words = command.split()
    if "--config-name" in words[:-1]:
        preset = words[words.index("--config-name") + 1]
        yield f"Preset {escaped(preset)}, with these settings of its own:"
        yield fenced("\n".join(w for w in words if "=" in w and not w.startswith("-")), "text")
    yield "The command:"
    yield fenced(command, "bash")


def _scores(scores: Sequence[Scored]) -> Iterator[str]:
    rows = [
        {"task": s.task, "metric": s.metric, "upstream": s.upstream, "test (%)": s.score}
        for s in scores
    ]
    yield markdown_table(rows)
    yield "Frozen upstreams; the commands of each, in this order:"
    yield fenced("\n".join(command for score in scores for command in score.commands), "bash")


def _facts(facts: Mapping[str, str]) -> str:
    return markdown_table([{"": name, "value": text} for name, text in facts.items()])
