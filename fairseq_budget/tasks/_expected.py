"""Validations beside the forecast of the run: logged, and told where they leave it."""

from dataclasses import astuple
from pathlib import Path
from typing import Any, Dict

from omegaconf import OmegaConf

from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.data.batches import UpdateAudio
from fairseq_budget.forecast.running import Running
from fairseq_budget.pretrained.portable import OURS
from fairseq_budget.report.alike import conditions, first_split
from fairseq_budget.report.curve import FORECAST, objective_loss
from fairseq_budget.run.provenance import history
from fairseq_budget.tasks._introduction import num_updates, update_flops
from fairseq_budget.tasks._trouble import Trouble


class ExpectedLoss:
    """Of one run, by the forecast in ``task.forecast``; it may not be of another run."""

    def __init__(self, root: Any, model: Any, heard: UpdateAudio, trouble: Trouble) -> None:
        self._num_total, self._trouble = num_updates(root, model, heard), trouble
        cfg = {
            section: OmegaConf.to_container(root[section], resolve=True)
            for section in ("task", "criterion", "model", "lr_scheduler")
        }
        self._running = Running(
            Path(root.task.forecast),
            objective=root.model._name.removeprefix(OURS),
            conditions=conditions(cfg, history.data(first_split(root, "valid"))),
            parameters=num_encoder_parameters(model.encoder.config),
            flops=self._num_total * update_flops(model, heard),
        )

    def compare(self, stats: Dict[str, Any]) -> None:
        """Add to the log of a validation what was expected."""
        update, loss = stats["num_updates"], objective_loss(stats)
        expected = self._running.at(min(1.0, update / self._num_total))
        if loss is None or expected is None:
            return
        stats.update(zip(FORECAST, astuple(expected), strict=True))
        if words := self._running.judge(loss, expected):
            # a loss that is too good is worth a look, and no reason to end
            name = "above" if self._running.is_above else "below"
            self._trouble.tell(
                f"{name} the forecast", f"update {update:,}: {words}", may_stop=name == "above"
            )
