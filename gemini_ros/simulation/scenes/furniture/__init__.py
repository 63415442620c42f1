"""Single pieces, one module for each kind: a function takes the ``Sampler`` of a scene and returns a ``Piece``.

Where a piece stands is decided by the builders in ``scenes``, never here.
"""
