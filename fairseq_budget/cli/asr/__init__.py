"""budget-asr."""
