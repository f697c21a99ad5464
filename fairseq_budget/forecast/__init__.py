"""The loss of a run that is planned, from small runs that are finished; and what it says."""
