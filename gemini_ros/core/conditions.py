"""Under which conditions a model is judged: with everything there, and with each of several modalities missing."""

from __future__ import annotations

from collections.abc import Sequence

COMPLETE = "complete"


def conditions(modalities: Sequence[str]) -> dict[str, str | None]:
    """The modality that is missing, ``None`` for none, by the name of the condition (``complete``, ``without rgb``)."""
    several = modalities if len(modalities) > 1 else ()
    return {COMPLETE: None, **{f"without {name}": name for name in several}}
