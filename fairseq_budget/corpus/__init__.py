"""One split on disk and how it is opened: manifest, columns, labels, segments, pack."""
