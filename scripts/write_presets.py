"""Write the presets in examples/ from one list of defaults and differences; --check only compares.

Presets are flat, because Hydra's versions order a file and its list of defaults differently. Each
of them repeats what all share; here it is said once. `SECTIONS` are a preset's sections, chosen by
their `_name`. A layer changes lines of them, ``section.field: value  # comment``, and adds those
that are new. Each of `PRESETS` is its layers, what it says of itself, and its own changes; the
last line of a field wins, with its own comment or none.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
WRITTEN = "# Written by scripts/write_presets.py: change it there, then `make tables`.\n"
ORDER = (
    *("hydra", "common", "checkpoint", "distributed_training", "task", "dataset", "criterion"),
    *("optimization", "optimizer", "lr_scheduler", "model"),
)

DIMENSIONS = """\
size: slim
encoder_type: null  # transformer, zipformer; null: the size's
encoder_layers: null  # null: what the size says
encoder_embed_dim: null
encoder_ffn_embed_dim: null
encoder_attention_heads: null
final_dim: null
frontend: conv  # logmel
conv_dim: null
conv_pos: null
conv_pos_groups: 16
conv_bias: false
extractor_mode: default
normalize: false
feature_layer_norm: true
mask_embedding: true
subsample: none  # average, conv, cif, segments
subsample_rate: 2.0  # frames per segment
upsample: false
layer_norm_first: false
"""
TRAINING = """\
dropout: 0.1
attention_dropout: 0.1
activation_dropout: 0.0
dropout_input: 0.1
encoder_layerdrop: 0.05
zipformer_dropout: null  # these five are a Zipformer's; null: falls from 0.3 to 0.1
balancers: true
whiten: true
mask_padding: true
batch_seconds_per_update: null  # null: max_tokens x update_freq x GPUs
feature_grad_mult: 0.1
channel_mask_width: 0.0  # TERA's channel alteration: 0.2
noise_prob: 0.0  # TERA's magnitude alteration: 0.15
noise_std: 0.2
compile: false  # by torch.compile, on a GPU
"""
PRETRAINED = """\
pretrained: ???  # a checkpoint or an exported folder
freeze_encoder: false
freeze_updates: 0
mask_prob: 0.65  # the recipe's default; the paper does not say
mask_length: 10
equal_masks: true  # as fairseq and k2SSL do
"""
SECTIONS = {
    "hydra": """\
run:
  dir: .  # relative paths mean the folder you start from
output_subdir: null
""",
    "common": """\
user_dir: ${task.user_dir}
seed: 1337
cpu: false
fp16: true  # turned off where there is no GPU
bf16: false
log_format: null  # tqdm on a terminal; json for machines
log_interval: 200
log_file: null
tensorboard_logdir: null
no_progress_bar: false
""",
    "checkpoint": """\
save_dir: ???
restore_file: checkpoint_last.pt
save_interval: 1
save_interval_updates: 10000
keep_interval_updates: 3
no_epoch_checkpoints: true
no_save: false
""",
    "distributed_training": """\
# world size: the GPUs that are there
ddp_backend: legacy_ddp  # layer drop and frozen encoders leave parameters without gradient
""",
    "task budget_pretraining": """\
user_dir: null
data: ???
max_sample_size: 250000  # 15.6 s
min_sample_size: 32000  # 2 s
pad_audio: false
labels: null
segments: null  # a segmentation, to pool by or to guide CIF: seg
mask_prob: 0.8
mask_length: 10
equal_masks: true  # as fairseq and the papers do
budget_flops: null  # stop when so many are spent, e.g. 1.33e18
forecast: null  # forecast.json of budget-plan forecast, to compare validations with
max_bad_share: 0.01  # stop when more of the utterances are bad audio
on_trouble: warn  # or stop: when the loss climbs, or outputs, predictions or codebooks collapse
""",
    "task budget_finetuning": """\
user_dir: null
data: ???
max_sample_size: null  # refuse longer utterances: they cannot be cropped
min_sample_size: 16000  # 1 s; the recipe leaves out what is above 20 s, too
labels: ltr
mean_interval: 200  # updates between two states of the running mean of weights, as in the recipe
""",
    "dataset": """\
train_subset: train
valid_subset: valid
num_workers: -1  # loader processes: -1 takes the cores of this machine
max_tokens: 1400000  # samples in a batch on one GPU: 87.5 s
batch_size: null
required_batch_size_multiple: 1
skip_invalid_size_inputs_valid_test: true
validate_interval: 5
validate_interval_updates: 10000
disable_validation: false
""",
    "criterion budget_reconstruction": "feature_penalty_weight: 10.0\n",
    "criterion budget_masked_prediction": """\
feature_penalty_weight: 10.0
pred_nomask_weight: 0.0
""",
    "criterion budget_contrastive": """\
feature_penalty_weight: 10.0
diversity_weight: 0.1
""",
    "criterion budget_distillation": """\
feature_penalty_weight: 0.0
cosine_weight: 1.0
cardinality_weight: 0.5  # CIF: segments per frame; 0 where boundaries are learnt
segment_weight: 0.0  # CIF: 0.005 with task.segments
frame_weight: 0.0  # CIF: 0.25 with task.segments
""",
    "criterion budget_ctc": "",
    "criterion budget_transducer": "simple_warmup_updates: 2000\n",
    "optimization": """\
max_update: 400000
max_epoch: 0
lr: [0.0005]
update_freq: [1]
clip_norm: 10.0
stop_time_hours: 0
""",
    "optimizer adam": """\
adam_betas: (0.9,0.98)
adam_eps: 1e-06
weight_decay: 0.01
""",
    "optimizer budget_scaled_adam": """\
betas: [0.9, 0.98]
eps: 1e-12
clipping_scale: 2.0
""",
    "lr_scheduler polynomial_decay": """\
warmup_updates: 32000
total_num_update: ${optimization.max_update}
end_learning_rate: 0.0
""",
    "lr_scheduler budget_eden": """\
lr_updates: 7500
lr_epochs: 10.5
warmup_updates: 5000
warmup_start: 0.0
""",
    "model budget_tera": f"""\
{DIMENSIONS}{TRAINING}target: mfcc
normalize_target: false
""",
    "model budget_hubert": f"""\
{DIMENSIONS}{TRAINING}head: cosine  # linear: cross-entropy form of k2SSL and MelHuBERT
logit_temp: 0.1  # k2SSL's recipe keeps it with the linear head; its paper's eq. 2 is 1.0
num_classes: null  # null: what the label files say
predict_unmasked: false
""",
    "model budget_wav2vec2": f"""\
{DIMENSIONS}{TRAINING}latent_vars: 320
latent_groups: 2
latent_dim: 0  # 0: final_dim
latent_temp: [2.0, 0.5, 0.999995]
num_negatives: 100
logit_temp: 0.1
dropout_features: 0.1
""",
    "model budget_distilhubert": f"""\
{DIMENSIONS}{TRAINING}teacher: ???  # an exported folder, a checkpoint of ours, or fairseq's HuBERT
teacher_dim: null  # what its checkpoint says
teacher_layers: [4, 8, 12]  # the code of DistilHuBERT: 4 and 12
init_from_teacher: true
teacher_dropout: false  # DistilHuBERT's code: true
mask_loss: true  # DistilHuBERT's code: false
target_gradient: false  # CIF: do alphas learn from how they pool the teacher
""",
    "model budget_ctc": f"{PRETRAINED}{DIMENSIONS}{TRAINING}final_dropout: 0.1\n",
    "model budget_transducer": f"""\
{PRETRAINED}{DIMENSIONS}{TRAINING}decoder_dim: 512
joiner_dim: 512
prune_range: 5
""",
}

STUDY = """\
task._name: budget_pretraining
optimizer._name: adam
lr_scheduler._name: polynomial_decay
"""
DEMO = """\
common.fp16: false
common.log_interval: 50
checkpoint.save_interval: 1000
dataset.validate_interval: 1000
dataset.num_workers: 1
optimization.max_update: 1200
optimization.lr: [0.002]
lr_scheduler.warmup_updates: 120
model.size: tiny
model.normalize: true
model.layer_norm_first: true
model.dropout: 0.0
model.attention_dropout: 0.0
model.dropout_input: 0.0
model.encoder_layerdrop: 0.0
model.feature_grad_mult: 1.0
"""
STUDY_DEMO = """\
checkpoint.save_interval_updates: 400
task.max_sample_size: 64000  # 4 s
task.min_sample_size: 8000  # 0.5 s
task.mask_length: 5
task.equal_masks: false
dataset.max_tokens: 256000  # samples in a batch: 16 s
dataset.validate_interval_updates: 400
criterion.feature_penalty_weight: 0.0
"""
TERA = """\
criterion._name: budget_reconstruction
model._name: budget_tera
"""
HUBERT = """\
task.labels: km
criterion._name: budget_masked_prediction
model._name: budget_hubert
"""
WAV2VEC2 = """\
task.mask_prob: 0.65
criterion._name: budget_contrastive
optimization.lr: [0.0004]
model._name: budget_wav2vec2
"""
DISTILHUBERT = """\
task.mask_prob: 0.0  # students hear everything
task.mask_length: 5
task.equal_masks: false
criterion._name: budget_distillation
model._name: budget_distilhubert
model.encoder_layers: 2  # null: what the size says
model.feature_layer_norm: false
model.mask_embedding: false
model.layer_norm_first: false
model.dropout_input: 0.0
model.encoder_layerdrop: 0.0
"""
SCALED_ADAM = """\
optimization.lr: [0.045]  # relative to the size of each tensor: no rate for Adam
optimization.clip_norm: 0.0  # ScaledAdam clips by itself
optimizer._name: budget_scaled_adam
lr_scheduler._name: budget_eden
"""
ZIPFORMER = """\
model.encoder_layers: null  # the first stacks; null: all
model.layer_norm_first: false  # this, layer drop and dropouts, but of the input: of transformers
model.head: linear
"""
K2SSL = """\
common.fp16: false  # the recipe: float16 autocast, on V100
common.fp16_no_flatten_grads: true  # so that fp16=true leaves tensors whole
common.bf16: true  # for Ampere and newer; older: common.bf16=false common.fp16=true
dataset.max_tokens: 9600000  # samples in a batch on one GPU: 600 s
"""
RECOGNITION = """\
checkpoint.best_checkpoint_metric: wer
checkpoint.save_interval: 1000
dataset.validate_interval: 1000
task._name: budget_finetuning
model.dropout_input: 0.0
model.zipformer_dropout: null  # these five are a Zipformer's; null: 0.1, where pre-training ended
model.batch_seconds_per_update: null  # null: its schedules are over, as in the recipe
model.feature_grad_mult: 1.0  # 0: a frozen front-end
model.size: zipformer_base  # to layer_norm_first: the pretrained checkpoint's, if there is one
"""
RECOGNITION_RECIPE = """\
checkpoint.save_interval_updates: 1000
checkpoint.keep_interval_updates: 5  # for the mean between two: budget-asr average --running
dataset.validate_interval_updates: 1000
optimization.max_update: 0  # no limit
optimization.max_epoch: 222  # the recipe's default, some 16,800 updates; the paper does not say
optimizer.eps: 1e-12  # the recipe: 1e-8, for a summed loss; fairseq divides by an update's symbols
lr_scheduler.lr_updates: 100000
lr_scheduler.lr_epochs: 100
lr_scheduler.warmup_updates: 0
model.dropout: 0.1  # these, but of the input, and layer drop: of transformers only
model.mask_padding: true  # the recipe: false, and words depend on batch mates
"""
RECOGNITION_DEMO = """\
checkpoint.save_interval_updates: 200
task.min_sample_size: 0
task.mean_interval: 0  # updates between two states of a running mean of weights; 0: none
dataset.max_tokens: 480000  # samples in a batch: 30 s
dataset.validate_interval_updates: 200
model.pretrained: null  # a checkpoint or an exported folder; null: from nothing
model.mask_prob: 0.0  # k2SSL's recipe: 0.65
model.mask_length: 5
model.equal_masks: false
model.dropout: 0.0  # how the encoder is trained is the fine-tuning's own
model.feature_grad_mult: 1.0  # 0: a frozen front-end; k2SSL: 1
model.size: tiny  # to layer_norm_first: the pretrained checkpoint's, if there is one
"""
CTC = """\
criterion._name: budget_ctc
model._name: budget_ctc
"""
TRANSDUCER = """\
task.labels: bpe
criterion._name: budget_transducer
model._name: budget_transducer
"""
PRESETS = {
    "budget_tera_librispeech": f"""\
{STUDY}{TERA}
# TERA as in "Efficient Training of Self-Supervised Speech Foundation Models on a Compute Budget"
# (Slim, 960 h of LibriSpeech, 1.33e18 FLOPs on two GPUs). Any other size is one override:
#   model.size=base optimization.max_update=187222 optimization.lr=[0.0003]
# `budget-plan updates --flops 1.33e18 --gpus 2 --seconds-per-gpu 78.03 --hours 960` prints them.
""",
    "budget_tera_demo": f"""\
{STUDY}{TERA}{DEMO}{STUDY_DEMO}
# TERA in a few minutes on a CPU: a very small encoder, 4 s sequences, 16 s of audio per update.
# Differs from the paper where little data and few updates ask for it: waveforms and targets are
# normalised, layers are pre-norm (they never collapsed at this learning rate), spans are shorter,
# and nothing is dropped.
model.normalize_target: true
""",
    "budget_hubert_iter1_librispeech": f"""\
{STUDY}{HUBERT}
# HuBERT, iteration 1: clusters of MFCC frames (the budget study's setting; Slim, 960 h).
# Labels first:  budget-labels make --data DIR --clusters 100
optimization.max_update: 250000
lr_scheduler.warmup_updates: 20000
""",
    "budget_hubert_iter2_librispeech": f"""\
{STUDY}{HUBERT}
# HuBERT, iteration 2: clusters of a hidden layer of iteration 1 (the budget study; Slim, 960 h).
# Labels first, from the layer that the study chose (6 for Slim, 2 for Small), 500 clusters:
#   budget-labels make --data DIR --clusters 500 --layer 6 \\
#       --checkpoint checkpoints/hubert_iter1/checkpoint_best.pt
# Cross-entropy of k2SSL and MelHuBERT instead of the cosine loss: model.head=linear.
""",
    "budget_hubert_demo": f"""\
{STUDY}{HUBERT}{DEMO}{STUDY_DEMO}
# HuBERT in a few minutes on a CPU, as budget_tera_demo but post-norm. Labels first:
#   budget-labels make --data DIR --clusters 100
# A teacher for the second iteration wants more updates (optimization.max_update=4000):
#   budget-labels make --data DIR --clusters 100 --layer 1 \\
#       --checkpoint checkpoints/hubert_demo/checkpoint_best.pt
# The papers' penalty stays: without it the front-end's output grows a thousandfold. The rate is
# half of budget_tera_demo's, at which post-norm layers collapsed with one seed of three.
criterion.feature_penalty_weight: 10.0
optimization.lr: [0.001]
model.layer_norm_first: false
""",
    "budget_hubert_zipformer_librispeech": f"""\
{STUDY}{HUBERT}{SCALED_ADAM}{ZIPFORMER}{K2SSL}
# HuBERT with cross-entropy, a Zipformer and ScaledAdam: k2SSL (arXiv 2411.17100), Zipformer Base.
# Labels first: 500 clusters of the 6th layer of a first-iteration HuBERT Base (Large: the 9th layer
# of the second iteration), for example
#   budget-labels make --data DIR --clusters 500 --checkpoint hubert_iter1 --layer 6
#
# The pre-training rows of its Table I, and what makes them of this preset:
#
# Transformer Base, HuBERT's loss (94.7 M; 8 GPUs, 400,000 updates of 8 x 4 x 87.5 s):
#   model.size=base model.head=cosine model.feature_grad_mult=0.1 dataset.max_tokens=1400000
#   optimization.update_freq=[4] optimization.max_update=400000
# Transformer Base, cross-entropy (94.8 M; 8 GPUs, 400,000 updates of 8 x 4 x 87.5 s):
#   model.size=base model.feature_grad_mult=0.1 dataset.max_tokens=1400000
#   optimization.update_freq=[4] optimization.max_update=400000
# Zipformer Base, cross-entropy (94.6 M; 8 GPUs, 225,000 updates of 8 x 600 s): as it stands.
# Zipformer Large, cross-entropy (305.9 M; 32 GPUs, 250,000 updates of 32 x 350 s; 60,000 h):
#   model.size=zipformer_large model.normalize=true model.dropout_input=0 dataset.max_tokens=5600000
#   optimization.max_update=250000
#
# With fewer GPUs, a larger optimization.update_freq gives the same updates. On transformers Table I
# has nothing to say of dropout, layer drop and gradients into the front-end: HuBERT's are used.
task.max_sample_size: 250000  # 15.6 s; the paper does not say, the recipe has it
task.mask_prob: 0.8  # "as HuBERT"; the recipe's own default is 0.65, its command 0.8
optimization.max_update: 225000  # the paper: 300 epochs; its command has 351 epochs of 720 updates
optimizer.eps: 1e-12  # the recipe: 1e-8, for a summed loss; fairseq divides by an update's frames
model.size: zipformer_base
model.normalize: false  # the recipe's default is true, its command for Base false
model.mask_padding: true  # the recipe: false; of no matter here, where nothing is padded
model.feature_grad_mult: 1.0  # the recipe's default; what Base had is not published
model.logit_temp: 0.1  # the recipe's; the paper's eq. 2 has none: 1.0
""",
    "budget_hubert_zipformer_demo": f"""\
{STUDY}{HUBERT}{DEMO}{STUDY_DEMO}{SCALED_ADAM}{ZIPFORMER}
# HuBERT with cross-entropy, a Zipformer and ScaledAdam in a few minutes on a CPU. Labels first:
#   budget-labels make --data DIR --clusters 100
lr_scheduler.lr_updates: 300
lr_scheduler.lr_epochs: null  # an epoch lasts seconds here: updates alone count
lr_scheduler.warmup_updates: 100
model.size: zipformer_tiny
model.batch_seconds_per_update: 10000.0  # 16 in truth: so schedules end after 1,200 updates, too
""",
    "budget_wav2vec2_librispeech": f"""\
{STUDY}{WAV2VEC2}
# wav2vec 2.0 as in the budget study (Slim, 960 h of LibriSpeech, 1.33e18 FLOPs on two GPUs).
""",
    "budget_wav2vec2_demo": f"""\
{STUDY}{WAV2VEC2}{DEMO}{STUDY_DEMO}
# wav2vec 2.0 in a few minutes on a CPU, as budget_tera_demo.
task.mask_prob: 0.8
""",
    "budget_distilhubert_librispeech": f"""\
{STUDY}{DISTILHUBERT}
# DistilHuBERT, and Table 2 of "On Compressing Sequences for Self-Supervised Speech Models": two
# layers that predict layers 4, 8 and 12 of HuBERT Base, 200,000 updates of 24 utterances.
#   model.teacher=hubert_base_ls960.pt        (fairseq's file, or anything that budget-export wrote)
# (I)   conv-deconv 2: model.subsample=conv model.upsample=true; avg-repeat: model.subsample=average
# (II)  avg 4: model.subsample=average model.subsample_rate=4
# (III) card 4: model.subsample=cif model.subsample_rate=4
#       DP: the same with criterion.cardinality_weight=0 criterion.segment_weight=0.005
#       criterion.frame_weight=0.25 task.segments=seg, made by
#         budget-labels fit --data DIR --clusters 100 --layer 6 --checkpoint TEACHER
#         budget-labels segment --data DIR --layer 6 --checkpoint TEACHER --target-rate 12.5
# (IV)  MFA: model.subsample=segments task.segments=mfa, made by budget-labels boundaries
# Where DistilHuBERT's code and paper differ, the default is the paper's: see teacher_dropout and
# mask_loss. Its weight decay of 0.01 (its configuration: 1e-6) leaves biases out; fairseq's not.
checkpoint.save_interval: 1000
task.min_sample_size: 0
task.pad_audio: true
dataset.max_tokens: 6000000  # samples in a batch: 24 of the longest
dataset.batch_size: 24  # smaller GPU: 12 and update_freq=[2]
optimization.max_update: 200000
optimization.lr: [0.0002]
optimization.clip_norm: 5.0
lr_scheduler.warmup_updates: 14000
model.size: base
model.activation_dropout: 0.1
""",
    "budget_distilhubert_demo": f"""\
{STUDY}{DEMO}{STUDY_DEMO}{DISTILHUBERT}
# A DistilHuBERT student in minutes on a CPU, from any model.teacher, here the first of two layers
# of budget_hubert_demo. A shorter sequence: model.subsample=average model.subsample_rate=2.
# CIF, its boundaries guided by smoothed codes:
#   budget-labels segment --data DIR --target-rate 12
#   model.subsample=cif model.subsample_rate=4 task.segments=seg \\
#       criterion.cardinality_weight=0 criterion.segment_weight=0.005 criterion.frame_weight=0.25
optimization.lr: [0.001]
model.teacher_layers: [1, 2, 3]
""",
    "budget_ctc_librispeech": f"""\
{RECOGNITION}{CTC}{SCALED_ADAM}{K2SSL}{RECOGNITION_RECIPE}
# Letter CTC on any encoder: the fine-tuning of k2SSL (arXiv 2411.17100, Table I), Zipformer Base on
# the 100 hours of train-clean-100. In task.data: {{split}}.tsv, {{split}}.ltr and dict.ltr.txt
# (`budget-asr prepare`). The encoder is model.pretrained, and its dimensions are taken from there.
#
# Zipformer Base, CTC (94.6 M; 8 GPUs, 8 x 600 s per update): as it stands.
#
# The table counts the pre-training's prediction layer, which the recipe carries along unused; here
# it goes (94.2 M). With fewer GPUs, a larger optimization.update_freq gives the same updates.
optimization.lr: [0.001]  # the paper's and the recipe's; relative to the size of each tensor
""",
    "budget_ctc_demo": f"""\
{STUDY}{RECOGNITION}{CTC}{DEMO}{RECOGNITION_DEMO}
# Letter CTC in minutes on a CPU, on a very small pre-trained encoder. In task.data: {{split}}.tsv,
# {{split}}.ltr and dict.ltr.txt (`budget-asr prepare`); fairseq's audio_finetuning reads the same.
""",
    "budget_transducer_librispeech": f"""\
{RECOGNITION}{TRANSDUCER}{SCALED_ADAM}{K2SSL}{RECOGNITION_RECIPE}
# The pruned transducer on any encoder: the fine-tunings of k2SSL (arXiv 2411.17100, Table I) on the
# 100 hours of train-clean-100. In task.data: {{split}}.tsv, {{split}}.bpe and dict.bpe.txt
# (`budget-asr prepare --word-pieces 500`). The encoder is model.pretrained, and its dimensions are
# taken from there. The rows of the table, and what makes them of this preset:
#
# Transformer Base, HuBERT's loss (96.5 M; 8 GPUs, 8 x 200 s per update):
#   optimization.lr=[0.001] dataset.max_tokens=3200000
# Transformer Base, cross-entropy (96.6 M; 8 GPUs, 8 x 200 s per update):
#   optimization.lr=[0.00075] dataset.max_tokens=3200000
# Zipformer Base, cross-entropy (96.4 M; 8 GPUs, 8 x 600 s per update): as it stands.
# Zipformer Large, cross-entropy (308.0 M; 8 GPUs, 8 x 400 s per update):
#   dataset.max_tokens=6400000
#
# The table counts the pre-training's prediction layer, which the recipe carries along unused; here
# it goes (Zipformer Base: 96.0 M). With fewer GPUs, a larger optimization.update_freq gives the
# same updates. The recipe starts the transformers' rate at half for 500 updates:
# lr_scheduler.warmup_updates=500 lr_scheduler.warmup_start=0.5
optimization.lr: [0.002]  # the paper's; the recipe: 0.001; relative to the size of each tensor
""",
    "budget_transducer_demo": f"""\
{STUDY}{RECOGNITION}{TRANSDUCER}{DEMO}{RECOGNITION_DEMO}
# The pruned transducer in minutes on a CPU, on a very small pre-trained encoder. In task.data:
# {{split}}.tsv, {{split}}.bpe and dict.bpe.txt (`budget-asr prepare --word-pieces 100`).
criterion.simple_warmup_updates: 200  # the recipe's: 2000
optimization.lr: [0.005]
model.freeze_updates: 600  # or a new head's gradients spoil the encoder before they are of any use
model.decoder_dim: 128  # the recipe's: 512
model.joiner_dim: 128  # the recipe's: 512
""",
}


def preset(name: str) -> str:
    """The whole file of a preset."""
    lines = PRESETS[name].splitlines(keepends=True)
    about = "".join(line for line in lines if line.startswith("#"))
    save_dir = name.removeprefix("budget_").removesuffix("_librispeech")
    changes = _changes(f"checkpoint.save_dir: checkpoints/{save_dir}\n{PRESETS[name]}")
    sections = {title: _section(title, changes) for title in ORDER}
    return WRITTEN + about + _command(name, sections) + "\n" + "\n".join(sections.values())


def _command(name: str, sections: dict[str, str]) -> str:
    """The command that starts a preset, with the settings that it leaves open, as a comment."""
    words = f"fairseq-hydra-train --config-dir examples/ --config-name {name} \\\n"
    words += "      +task.user_dir=fairseq_budget"
    for title, section in sections.items():
        for field in re.findall(r"^  (\w+): \?{3}", section, re.MULTILINE):
            words += f" {title}.{field}={'DIR' if field == 'data' else 'CHECKPOINT'}"
    return "".join(f"# {line}\n" for line in f"Run it:\n  {words}".splitlines())


def _changes(text: str) -> dict[str, str]:
    """The last line of each field, ``field: value  # comment``, by its full name."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.partition(":")[0]: line.partition(".")[2] for line in lines}


def _section(title: str, changes: dict[str, str]) -> str:
    """A section of yaml; fields that it does not have by itself come last."""
    named = (name.partition(".") for name in changes)
    own = {field: changes[f"{group}.{field}"] for group, _, field in named if group == title}
    chosen = own.pop("_name", None)
    kind = f"{title} {chosen.partition(': ')[2]}" if chosen else title
    lines = [chosen] if chosen else []
    for line in SECTIONS[kind].splitlines():
        lines.append(own.pop(line.partition(":")[0], line))
    return "".join([f"{title}:\n", *(f"  {line}\n" for line in [*lines, *own.values()])])


def main() -> int:
    """Write all presets; with --check, name those that differ, and the cure."""
    files = {EXAMPLES / f"{name}.yaml": preset(name) for name in PRESETS}
    stale = [
        path.name
        for path, text in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" not in sys.argv:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    elif stale:
        print(
            f"{', '.join(stale)}: not as scripts/write_presets.py writes them; make the change "
            "there, then `make tables`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
