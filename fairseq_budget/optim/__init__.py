"""ScaledAdam and Eden, the optimizer and schedule of Zipformer, in plain PyTorch."""
