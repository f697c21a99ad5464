"""The way from fairseq-hydra-train to a run of ours: its processes and its messages.

Imported by the Hydra plug-in once a run is known to be ours.
"""
