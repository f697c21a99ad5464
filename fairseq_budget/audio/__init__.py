"""Audio: files to samples, and samples to acoustic features."""
