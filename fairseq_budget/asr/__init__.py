"""Speech recognition on top of an encoder: CTC, the pruned transducer, decoding, word errors."""
