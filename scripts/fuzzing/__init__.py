"""The parts of fuzz.py: sound files and their readers, changes of files, and the judge of both."""
