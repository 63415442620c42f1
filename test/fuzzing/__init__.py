"""Files and messages from strangers, by the thousand: ``scripts/fuzz.py`` tries many, ``make test`` a few."""
