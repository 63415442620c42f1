"""The conditions under which a model of several modalities is judged: all of them there, or one missing."""

from __future__ import annotations

from collections.abc import Sequence

COMPLETE = "complete"


def conditions(modalities: Sequence[str]) -> dict[str, str | None]:
    """The modality that is missing under each condition, ``None`` under ``complete``.

    A model of several modalities is also judged ``without rgb``, ``without depth`` and so on, in their order.
    """
    missing = modalities if len(modalities) > 1 else ()
    return {COMPLETE: None, **{f"without {name}": name for name in missing}}
