"""``gemini-ros adapt``: a model is trained further on drives of its robot, judged, and exported if it is no worse."""
