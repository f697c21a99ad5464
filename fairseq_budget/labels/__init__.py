"""Discrete labels of frames: k-means on features of the audio, one text file per split.

HuBERT ("Hidden-Unit BERT", section 2) predicts the cluster of each frame. Its labels come from MFCC
first (100 Hz), then from a layer of the model that was trained on those (50 Hz).

label_file.py   what training reads, and every check of it
features.py     an utterance's frames: MFCC, or a checkpoint's layer
kmeans.py       fitting centroids on a sample of frames; the nearest centroid of each frame
work.py         labelling in durable parts, by processes and machines, through interruptions
quality.py      what the labels are worth
shards.py       fairseq's feature dumps, for those who ask for them
"""
