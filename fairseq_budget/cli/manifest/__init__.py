"""budget-manifest."""
