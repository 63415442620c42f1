"""What has to be there once in a ROS graph and is there twice: publishers of a topic, and the node itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rclpy.node import Node


def duplicates(node: Node, topics: Iterable[str]) -> list[str]:
    """A sentence for each of ``topics`` (resolved names) with several publishers, and for a node of the same name."""
    found = []
    name = node.get_fully_qualified_name()
    nodes = Counter(f"{ns.rstrip('/')}/{of}" for of, ns in node.get_node_names_and_namespaces())
    if nodes[name] > 1:
        found.append(
            f"{nodes[name]} nodes are called {name}, and their outputs mix: stop all but one, or start the others with "
            "--ros-args -r __ns:=/NAMESPACE"
        )
    for topic in topics:
        publishers = node.get_publishers_info_by_topic(topic)
        if len(publishers) > 1:
            owners = sorted(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers)
            found.append(
                f"{len(publishers)} publishers on {topic} ({', '.join(owners)}), and their messages mix: stop all but "
                "one, or remap the others"
            )
    return found
