"""``gemini-ros demo``: a bag through the live node, as separate processes, and what came of it."""
