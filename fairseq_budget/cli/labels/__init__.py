"""budget-labels."""
