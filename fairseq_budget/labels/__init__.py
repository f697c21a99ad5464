"""Discrete labels of frames: k-means on features of the audio, one text file per split.

HuBERT ("Hidden-Unit BERT", section 2) predicts the cluster of each frame. Its labels come from MFCC
first (100 Hz), then from a layer of the model that was trained on those (50 Hz).

label_file.py   what training reads, and every check of it
features.py     an utterance's frames: MFCC, or a checkpoint's layer
sample.py       the bounded sample of frames that is fitted on
kmeans.py       centroids of a sample; the nearest centroid of each frame
parts.py        durable parts and worker processes;  tasks.py  what the workers do
fitting.py      the sample and the model of a folder
labelling.py    the label files of a folder, by processes and machines, through interruptions
quality.py      what the labels are worth
shards.py       feature dumps in simple_kmeans' layout, for those who ask

Segments of frames, by which sequences are shortened, lie beside the labels.

segments.py            what training reads, and every check of it
smoothing.py           codes smoothed by dynamic programming;  segmenting.py  those of a folder
boundary_sources.py    intervals of textgrid.py and alignments.py;  wav2vecu.py  wav2vec-U's units
boundaries.py          scores against true boundaries;  fired.py  those of a CIF student
"""
