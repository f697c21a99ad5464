"""Where segments end: smoothed codes, TextGrids, tables, wav2vec-U; and how true that is."""
