"""How well latents alone point at what is meant, on cached frames: the gate before all of it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.training.language.cache import CachedFrames, CachedTexts
from gemini_ros.training.language.data import Question, make_batch
from gemini_ros.training.language.task import windows_with_target

_AT_ONCE = 8


@torch.inference_mode()
def latent_hits(
    branch: LanguageBranch, frames: CachedFrames, questions: Sequence[Question], texts: CachedTexts
) -> dict[str, tuple[float, int]]:
    """By type the share of questions with a target whose most probable window holds it, and how many there are."""
    training = branch.training
    branch.eval()
    of_frame: dict[int, list[Question]] = {}
    for question in questions:
        if question.present:
            of_frame.setdefault(question.frame, []).append(question)
    hits: dict[str, list[bool]] = {}
    for asked in of_frame.values():
        for first in range(0, len(asked), _AT_ONCE):
            some = asked[first : first + _AT_ONCE]
            batch = make_batch(frames, texts, [some])
            held = windows_with_target(batch.targets)[0]
            best = branch.latents(batch.maps, batch.phrases, batch.mask).latents[0].argmax(1)
            for row, question in enumerate(some):
                if held[row].any():
                    hits.setdefault(question.type, []).append(bool(held[row, best[row]]))
    branch.train(training)
    return {kind: (sum(found) / len(found), len(found)) for kind, found in sorted(hits.items())}
