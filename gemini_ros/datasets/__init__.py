"""Data sets as folders of images: how each lies there, as data; finding, reading and checking what it holds."""
