"""Files of ROS parameters: which of their sections reach a node. The rules are those of rcl_yaml_param_parser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import read_yaml

_WILDCARDS = {"*": r"/\w+", "**": r"(/\w+)*"}
_TOKEN = re.compile(r"[A-Za-z_]\w*|\*\*?", re.ASCII)


@dataclass(frozen=True)
class Section:
    """The ``ros__parameters`` under a key; ``/robot1: segmenter:``, one in the other, is ``/robot1/segmenter``."""

    key: str
    parameters: Mapping[Any, Any]

    @property
    def tokens(self) -> list[str]:
        return self.key.strip("/").split("/")

    @property
    def shared(self) -> bool:
        """Whether nodes of any name are meant, so that the names of their parameters stand here too."""
        return self.tokens[-1] in _WILDCARDS

    def reaches(self, name: str) -> bool:
        """Whether the fully qualified ``name`` of a node is meant: ``*`` is one name of a path, ``**`` any number."""
        pattern = "".join(_WILDCARDS.get(token, f"/{token}") for token in self.tokens)
        return re.fullmatch(pattern, name) is not None

    def name_of(self, node: str) -> str:
        """A fully qualified name that a node called ``node`` may have if this section is to reach it; or empty."""
        *namespace, last = self.tokens
        if last != node and last not in _WILDCARDS:
            return ""
        return "/".join(["", *("any" if token == "*" else token for token in namespace if token != "**"), node])


def read_sections(path: str | Path) -> list[Section]:
    """All sections of a file in their order. Raises ``ValueError`` for what rcl refuses, ``OSError`` for no file."""
    nodes = read_yaml(Path(path))
    if not isinstance(nodes, dict):
        raise ValueError(f"{path}: {type(nodes).__name__}, expected nodes with ros__parameters, as for ros2 launch")
    return list(_sections(nodes, "", path))


def _sections(nodes: Mapping[Any, Any], above: str, path: str | Path) -> Iterator[Section]:
    for key, value in nodes.items():
        name = f"{above.rstrip('/')}/{key}" if above else str(key)
        if above and key == "ros__parameters":
            if not isinstance(value, dict):
                raise ValueError(f"{path}: {above}: expected ros__parameters with names and values")
            yield Section(above, value)
            continue
        if not all(_TOKEN.fullmatch(token) for token in name.strip("/").split("/") if name != "/"):
            raise ValueError(
                f"{path}: {name!r:.80} is no name of a node: expected names of letters, digits and _ with / between "
                "them, * or **"
            )
        if not isinstance(value, dict):
            raise ValueError(f"{path}: {name}: expected ros__parameters with names and values")
        if value:
            yield from _sections(value, name, path)
        else:
            yield Section(name, {})


def sections_reaching(node: str, sections: Sequence[Section], path: str | Path) -> list[Section]:
    """The sections for the node called ``node``, in whichever namespace the file has it; the later ones win.

    Raises ``ValueError`` where no section reaches it, and where they are for nodes of that name in several namespaces.
    """
    names = {name for section in sections if (name := section.name_of(node))}
    found = {frozenset(i for i, section in enumerate(sections) if section.reaches(name)) for name in names}
    found = [some for some in found if not any(some < others for others in found)]
    if not found:
        keys = ", ".join(section.key for section in sections) or "nothing"
        raise ValueError(
            f"{path}: no parameters for {node}, only for {keys}: expected ros__parameters under {node}, "
            f"/NAMESPACE/{node} or /**"
        )
    if len(found) > 1:
        keys = ", ".join(section.key for section in sections if section.name_of(node))
        raise ValueError(
            f"{path}: parameters for {node} in several namespaces ({keys}): give a file with those of one robot"
        )
    return [sections[i] for i in sorted(found[0])]


def meant_for_another(node: str, name: str, sections: Sequence[Section]) -> list[str]:
    """The keys for a ``node`` in another place than the fully qualified ``name``; empty where a section reaches that.

    rcl passes over such a file without a word: ``segmenter`` does not reach ``/front/segmenter``.
    """
    if any(section.reaches(name) for section in sections):
        return []
    return [section.key for section in sections if section.tokens[-1] == node]


def flat(parameters: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``: in ROS's files both forms name one parameter."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
