"""The only metadata of the distribution; versions that were tested together: constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "fairseq_budget/__init__.py").read_text())[1]

EXTRAS = {
    # fairseq main with the Python 3.11 fix; build it with --no-build-isolation
    "fairseq": ["fairseq-fixed>=0.12.3.1", "hydra-core>=1.3.2", "tensorboardX"],
    "s3prl": [
        "s3prl>=0.4.18",
        "torchaudio",
        "tensorboardX",
        "catalyst",
        "pandas",
        "scikit-learn",
        "huggingface_hub<1",
        "transformers<5",
    ],
    "labels": ["npy-append-array", "sentencepiece"],
    "asr": ["jiwer", "flashlight-text", "sentencepiece"],
    "qbe": ["dtw-python", "lxml"],  # s3prl's expert imports them; dtw-python is under the GPL
    "demo": ["espeakng-loader", "matplotlib"],
    "report": ["matplotlib", "plotly"],
    "dev": [
        "pytest",
        "pytest-xdist",
        "hypothesis",
        "ruff",
        "mypy",
        "import-linter",
        "codespell",
        "torchaudio",
    ],
}
EXTRAS["all"] = sorted({requirement for extra in EXTRAS.values() for requirement in extra})
EXTRAS["onnx"] = ["onnx", "onnxscript", "onnxruntime"]  # budget-export --to onnx
EXTRAS["hdf5"] = ["h5py"]  # budget-report features --format hdf5
EXTRAS["wandb"] = ["wandb"]  # common.wandb_project logs to an account elsewhere: not in "all"

COMMANDS = {
    "budget-manifest": "manifest.command:main",
    "budget-labels": "labels.command:main",
    "budget-plan": "plan.command:main",
    "budget-export": "export:main",
    "budget-import": "import_:main",
    "budget-corpus": "corpus:main",
    "budget-downstream": "downstream.command:main",
    "budget-asr": "asr.command:main",
    "budget-report": "report.command:main",
    "budget-train": "train:main",
    # s3prl installs no command of its own
    "s3prl": "run_downstream:s3prl_main",
    "run_downstream.py": "run_downstream:main",
}

setup(
    name="fairseq_budget",
    version=VERSION,
    description="Self-supervised speech pre-training on a compute budget, as a fairseq plug-in",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # hydra_plugins is a namespace that Hydra scans; our module in it makes the user_dir resolve
    packages=[
        *find_packages(include=["fairseq_budget", "fairseq_budget.*"]),
        "fairseq_budget.presets",
        "hydra_plugins",
    ],
    package_dir={
        "fairseq_budget.presets": "examples",
        "hydra_plugins": "fairseq_budget/hydra_plugins",
    },
    package_data={
        "fairseq_budget": ["py.typed", "upstream/configs/**/*.yaml"],
        "fairseq_budget.presets": ["*.yaml"],
    },
    install_requires=[
        *("numpy", "scipy", "torch>=2.2", "soundfile", "soxr", "safetensors", "tqdm", "pyyaml"),
        "threadpoolctl",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [f"{name} = fairseq_budget.cli.{f}" for name, f in COMMANDS.items()]
    },
)
