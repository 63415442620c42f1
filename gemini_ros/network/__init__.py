"""The GeminiFusion network (ICML 2024, arXiv:2406.01210) in torch: encoders, fusion, decoder, deploy form."""
