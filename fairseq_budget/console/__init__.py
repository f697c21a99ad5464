"""What a terminal shows: progress, tables, and what other packages may say."""
