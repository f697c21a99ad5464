"""budget-plan."""
