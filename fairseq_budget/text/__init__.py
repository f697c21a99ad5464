"""Transcripts, words and their errors, word pieces, phones in time."""
