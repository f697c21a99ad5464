"""A training run's folder: its lock, its settings, its checkpoints after a kill, its signals."""
