"""The head that tells single things apart, trained beside a frozen network."""
