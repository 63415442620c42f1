"""Labels in hindsight: what a drive measured near by says what the camera saw from afar, seconds before."""
