"""Fine-tuning to speech recognition: fairseq's ``audio_finetuning``, and what it lacks.

``{split}.tsv`` and line-aligned ``{split}.{labels}`` (letters or word pieces between blanks), and
their dictionary ``dict.{labels}.txt``, all as fairseq has them. The blank is ``<s>``.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional

from fairseq.tasks import register_task
from fairseq.tasks.audio_finetuning import AudioFinetuningConfig, AudioFinetuningTask

from fairseq_budget.models._recognizer import adopt_pretrained


@dataclass
class BudgetFinetuningConfig(AudioFinetuningConfig):
    user_dir: Optional[str] = field(
        default=None, metadata={"help": "the plug-in; presets hand it on to common.user_dir"}
    )
    labels: Optional[str] = field(
        default="ltr", metadata={"help": "transcripts to learn, {split}.{labels}"}
    )


@register_task("budget_finetuning", dataclass=BudgetFinetuningConfig)
class BudgetFinetuningTask(AudioFinetuningTask):
    """Our recognisers also train under ``audio_finetuning`` itself.

    Here the encoder's dimensions are written into the config, so that the fine-tuned checkpoint
    needs the pre-trained one no more.
    """

    def state_dict(self) -> Dict[str, Any]:
        """Nothing: fairseq would pickle the dictionary, which task.data has, into checkpoints."""
        return {}

    def build_model(self, model_cfg: Any, from_checkpoint: bool = False) -> Any:
        if not from_checkpoint and model_cfg.get("pretrained") is not None:
            adopt_pretrained(model_cfg)
        return super().build_model(model_cfg, from_checkpoint)
