"""The cost of training: FLOPs, parameters, memory and time, planned, measured and metered."""
