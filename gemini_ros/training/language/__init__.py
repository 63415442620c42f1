"""Train the language branch of a frozen network on questions about simulated scenes."""
