"""A terminal's contents: progress, tables, and what other packages may say."""
