"""Data sets as folders of images: how each lies there, as data; finding, reading, checking, writing one from a bag."""
