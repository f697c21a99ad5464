"""What is made of finished runs: logs, curves, reconstructions, plots, pages."""
