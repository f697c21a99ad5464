"""Labelled recordings as s3prl's tasks, and comparisons of upstreams on them; no s3prl here."""
