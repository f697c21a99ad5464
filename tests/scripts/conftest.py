"""Readers that do what no reader should are imported by the fuzzer alone."""

collect_ignore = ["bad_readers.py"]
