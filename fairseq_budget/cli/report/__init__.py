"""budget-report."""
