"""The synthetic corpus of `make demo`, spoken by espeak-ng."""
