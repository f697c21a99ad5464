"""budget-downstream."""
