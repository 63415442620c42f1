"""What finds phrases beside a segmenter that stays as it is."""
