"""fairseq models: registration, and one forward() that joins encoder, head and targets."""
