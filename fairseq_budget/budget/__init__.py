"""What training costs: FLOPs, parameters, memory and time, planned, measured and metered."""
