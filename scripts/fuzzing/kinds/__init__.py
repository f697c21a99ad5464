"""Kinds of files: how sound ones are made, how they are read, and what none may say."""
