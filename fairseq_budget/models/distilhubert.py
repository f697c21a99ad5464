"""DistilHuBERT: predict several layers of a frozen teacher, from a shortened sequence if wanted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from fairseq.models import register_model
from omegaconf import MISSING
from torch import Tensor

from fairseq_budget.budget.flops import FLOPS_PER_MAC, encoder_macs
from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.errors import BudgetError
from fairseq_budget.models._base import BudgetModel, common_output, noise_generator
from fairseq_budget.models._config import BudgetEncoderConfig
from fairseq_budget.nn.compiled import compile_parts
from fairseq_budget.nn.heads import DistillationHead
from fairseq_budget.nn.teacher import Teacher, init_from_teacher
from fairseq_budget.pretrained.fairseq_checkpoint import read_teacher


@dataclass
class BudgetDistilhubertConfig(BudgetEncoderConfig):
    """Fields of ``model._name=budget_distilhubert``."""

    teacher: str = field(
        default=MISSING,
        metadata={"help": "an exported folder, a checkpoint of ours, or one of fairseq's HuBERT"},
    )
    teacher_dim: Optional[int] = field(
        default=None,
        metadata={"help": "width of the teacher's layers; None: what its checkpoint says"},
    )
    teacher_layers: List[int] = field(
        default_factory=lambda: [4, 8, 12],
        metadata={"help": "layers to match, from 1 (DistilHuBERT's code has 4 and 12)"},
    )
    init_from_teacher: bool = field(
        default=True,
        metadata={"help": "begin with the teacher's front-end, projection and first layers"},
    )
    teacher_dropout: bool = field(
        default=False,
        metadata={"help": "leave the teacher's dropout on, as DistilHuBERT's code does"},
    )
    mask_loss: bool = field(
        default=True,
        metadata={"help": "no loss on padding; false: on it, too, as DistilHuBERT's code has it"},
    )
    target_gradient: bool = field(
        default=False,
        metadata={"help": "CIF: alphas also learn from how they pool the teacher's states"},
    )


@register_model("budget_distilhubert", dataclass=BudgetDistilhubertConfig)
class BudgetDistilhubertModel(BudgetModel):
    """A student and its heads. The teacher is no submodule: never saved, trained, or halved.

    A finished student opens without it, too, and is asked for a loss only where it is.
    """

    def __init__(self, cfg: BudgetDistilhubertConfig) -> None:
        super().__init__(cfg)
        self.teacher_path = cfg.teacher
        self._teacher: Tuple[Teacher, ...] = ()  # the tuple hides it from nn.Module
        if cfg.teacher_dim is None or Path(cfg.teacher).exists():
            encoder = read_teacher(cfg.teacher).build_encoder()
            self._teacher = (Teacher(encoder, cfg.teacher_layers, cfg.teacher_dropout),)
            if cfg.init_from_teacher:
                init_from_teacher(self.encoder, self.teacher.encoder)
        self.mask_loss = cfg.mask_loss
        self.target_gradient = cfg.target_gradient
        self.teacher_layers = list(cfg.teacher_layers)
        teacher_dim = cfg.teacher_dim or self.teacher.dim
        self.head = DistillationHead(
            self.encoder.config.output_dim, teacher_dim, len(cfg.teacher_layers)
        )

    @property
    def teacher(self) -> Teacher:
        if not self._teacher:
            raise BudgetError(
                f"the teacher model.teacher={self.teacher_path!r} does not exist here, and there "
                "is no loss without it: put it there, or only use the student's encoder"
            )
        return self._teacher[0]

    def _apply(self, fn: Any, recurse: bool = True) -> "BudgetDistilhubertModel":
        super()._apply(fn, recurse)
        for teacher in self._teacher:
            teacher.to(self.head.weight.device)
        return self

    def compile_parts(self) -> None:
        super().compile_parts()
        if self.is_compiled:
            compile_parts(self.teacher.encoder)

    def training_flops(self, num_samples: Any, out: Dict[str, Any]) -> float:
        """The student's three passes and the teacher's one."""
        teacher = encoder_macs(self.teacher.encoder.config, num_samples).sum()
        return super().training_flops(num_samples, out) + FLOPS_PER_MAC * float(teacher)

    def forward(
        self,
        source: Tensor,
        num_samples: Optional[Tensor] = None,
        segment_ends: Optional[Tensor] = None,
        noise_seed: int = 0,
        **unused: Any,
    ) -> Dict[str, Any]:
        """prediction, target (B, K or T, N, D') and the padding among them, True = no loss."""
        wave = wave_from_bits(source)
        noise = noise_generator(wave.device, noise_seed)
        target = self.teacher(wave, num_samples)  # (B, T, N, D')
        out = self.encode(wave, num_samples, noise, segment_ends=segment_ends)
        pooled = out.at_output_rate(target.flatten(2), gradient=self.target_gradient)
        return {
            "prediction": self.head(out.output),
            "target": pooled.unflatten(2, target.shape[2:]),
            "padding_mask": out.output_padding if self.mask_loss else None,
            "layers": self.teacher_layers,
            **common_output(out),
        }


def adopt_teacher(cfg: Any) -> None:
    """Write into ``cfg`` where the teacher is, from any folder, and how wide.

    So checkpoints say it. BudgetError when the teacher cannot be read.
    """
    cfg.teacher_dim = read_teacher(cfg.teacher).encoder.resolved().output_dim
    cfg.teacher = str(Path(cfg.teacher).absolute())
