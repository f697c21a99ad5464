"""Discrete labels of frames: k-means on features of the audio, one text file per split.

HuBERT ("Hidden-Unit BERT", section 2) predicts the cluster of each frame. Its labels come from MFCC
first (100 Hz), then from a layer of the model that was trained on those (50 Hz). What training
reads of them is in ``corpus/labels.py``.

make.py         the order: fit, apply, dump, check
features.py     an utterance's frames: MFCC, or a checkpoint's layer (encoder_layers.py)
sample.py       the bounded sample of frames that is fitted on
minibatch.py    centroids of a sample;  kmeans.py  their file; the nearest centroid of each frame
fitting.py      the sample and the model of a folder
labelling.py    the label files of a folder, by processes and machines, through interruptions
parts.py        durable parts and worker processes;  jobs.py  what the workers do
quality.py      what the labels are worth
shards.py       feature dumps in simple_kmeans' layout, for those who ask
layers.py       several layers for a model of somebody's own;  layer_files.py  their formats
windows.py      long recordings in windows
"""
