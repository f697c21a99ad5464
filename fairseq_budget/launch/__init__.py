"""What stands between fairseq-hydra-train and a run of ours: its processes and its messages.

Imported by the Hydra plug-in once a run is known to be ours.
"""
