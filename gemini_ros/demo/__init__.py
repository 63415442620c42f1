"""``gemini-ros demo``: play a bag through the live node, as separate processes, and show the results."""
