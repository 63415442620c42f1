"""Where a robot can drive: labels and depth gathered into a rolling grid with a memory. One rule in one file."""

from gemini_ros.core.costmap.grid import AHEAD_NS, CostmapConfig, Occupancy
from gemini_ros.core.costmap.semantic_costmap import SemanticCostmap

__all__ = ["AHEAD_NS", "CostmapConfig", "Occupancy", "SemanticCostmap"]
