"""Making corpora: find, collect, cut, subset, carry columns, import from Lhotse and Kaldi."""
