"""The loss of any checkpoint on any manifest, as validation in its training would compute it.

(The underscore: no task to import on its own.)
"""

from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from fairseq.dataclass.configs import FairseqConfig
from fairseq.logging import metrics
from fairseq.models import import_models
from fairseq.tasks import import_tasks
from fairseq.utils import move_to_cuda
from omegaconf import OmegaConf

from fairseq_budget.corpus.labels import label_sets, read_info
from fairseq_budget.data.audio_dataset import NUM_SPECIAL_CLASSES
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.heads import classes_of
from fairseq_budget.pretrained import Pretrained, read_pretrained

PACKAGE = Path(__file__).parents[1]
TIMING = frozenset({"wps", "wpb", "bsz"})  # fairseq's, which would say nothing here


def evaluate(
    checkpoint: Union[str, Path], manifest: Union[str, Path], *, max_tokens: int, device: str
) -> Dict[str, float]:
    """Values that the criterion of a checkpoint's training logs on ``{folder}/{split}.tsv``.

    checkpoint: fairseq's file or an exported folder of any model of ours. Labels, segments and
    transcripts lie beside the manifest, which may be a pack. max_tokens: samples of a batch,
    padding included. Losses are means over the set. BudgetError where the two do not fit.
    """
    found, manifest = read_pretrained(checkpoint), Path(manifest).absolute()
    _check_classes(found, manifest.parent)
    model, criterion, task = open_model(found, str(checkpoint), manifest.parent)
    task.load_dataset(manifest.stem)
    batches = task.get_batch_iterator(task.dataset(manifest.stem), max_tokens=max_tokens)
    model, criterion = model.eval().to(device), criterion.eval()
    logs: List[Dict[str, Any]] = []
    for batch in batches.next_epoch_itr(shuffle=False):
        logs.append(task.valid_step(on_device(batch, device), model, criterion)[2])
    with metrics.aggregate(new_root=True) as values:
        task.reduce_metrics(logs, criterion)
    return {k: float(v) for k, v in values.get_smoothed_values().items() if k not in TIMING}


def open_model(checkpoint: Pretrained, name: str, folder: Path) -> Tuple[Any, Any, Any]:
    """A checkpoint's model, the criterion that it was trained by, and its task on a folder."""
    register()
    state = _fairseq_state(checkpoint, name, str(folder))
    (model,), cfg, task = load_model_ensemble_and_task([name], state=state)
    return model, task.build_criterion(cfg.criterion), task


def on_device(batch: Dict[str, Any], device: str) -> Dict[str, Any]:
    moved: Dict[str, Any] = move_to_cuda(batch, torch.device(device)) if "cuda" in device else batch
    return moved


def register() -> None:
    """Make tasks and models known to fairseq, whose ``import_user_module`` does it for programs.

    That one passes over a package of which something has been imported already.
    """
    import_tasks(str(PACKAGE / "tasks"), f"{PACKAGE.name}.tasks")
    import_models(str(PACKAGE / "models"), f"{PACKAGE.name}.models")


def _check_classes(checkpoint: Pretrained, folder: Path) -> None:
    """HuBERT's clusters are the labels' beside the manifest."""
    expected = checkpoint.model_config.get("num_classes")
    names = label_sets(checkpoint.provenance.get("task", {}).get("labels"))
    for name, own in zip(names, classes_of(expected) if expected else [], strict=False):
        if (found := read_info(folder, name).num_clusters + NUM_SPECIAL_CLASSES) != own:
            raise BudgetError(
                f"the model learned {own - NUM_SPECIAL_CLASSES} clusters, but the labels {name} in "
                f"{folder} have {found - NUM_SPECIAL_CLASSES}: give a manifest with those of its "
                "training (budget-labels apply)"
            )


def _fairseq_state(checkpoint: Pretrained, name: str, folder: str) -> Dict[str, Any]:
    """The state that fairseq would read, with the manifests' folder in the place of its own."""
    provenance, vocabulary = checkpoint.provenance, checkpoint.vocabulary
    if "criterion" not in provenance:
        raise BudgetError(
            f"{name} does not say by which criterion it was trained: only checkpoints of training "
            "with this package, and exports of those, have a loss"
        )
    cfg = {
        "task": {**provenance["task"], "data": folder},
        "model": checkpoint.model_config,
        "criterion": provenance["criterion"],
    }
    return {
        "cfg": OmegaConf.merge(OmegaConf.structured(FairseqConfig), cfg),
        "model": checkpoint.state,
        "optimizer_history": [{"num_updates": provenance["num_updates"]}],
        "task_state": vocabulary.state_dict() if vocabulary else {},
    }
