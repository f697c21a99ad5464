"""Ends of segments of frames, by which sequences are shortened.

What training reads of them is in ``corpus/segments.py``.

smoothing.py    codes smoothed by dynamic programming;  segmenting.py  those of a folder
intervals.py    intervals of TextGrids (textgrid.py) and tables;  wav2vecu.py  wav2vec-U's units
agreement.py    scores against true boundaries;  fired.py  those of a CIF student
"""
