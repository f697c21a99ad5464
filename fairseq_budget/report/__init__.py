"""Reports on runs: logs, curves, reconstructions, plots, pages."""
