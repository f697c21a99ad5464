"""Modules of the encoder: plain torch, batch first, no host framework."""
