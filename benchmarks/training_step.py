"""A training step of GeminiFusion on B0 against the straightforward formulation: forward, loss, backward, optimiser.

    OMP_WAIT_POLICY=PASSIVE GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296 \\
    python -m benchmarks.training_step --json training_step.json

The same weights, batch and loss (cross entropy of both streams and of their ensemble at 1/4 resolution, dropout off);
loss and gradients of the first step are compared before anything is timed. One thread, in turn, medians. ``--profile``
says where the time of the package's own step goes instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.network import CLASSES, Run, medians
from benchmarks.straightforward import StraightforwardSegmenter
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.network.encoders.mit import MIT_SIZES
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.official import load_official, translate
from gemini_ros.training.loss import SegmentationLoss
from gemini_ros.training.optimizer import adamw

RATES = {"lr": 6e-5, "weight_decay": 0.01}
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-2  # in float32; the test has both in float64


class OwnStep:
    """The package's network, loss and optimiser."""

    def __init__(self, size: str, images: list[Tensor], truth: Tensor) -> None:
        torch.manual_seed(0)
        self.network = FusionSegmenter(size, ("rgb", "depth"), CLASSES).train()
        self.network.decoder.dropout.p = 0.0
        self.loss_of = SegmentationLoss(CLASSES)
        self.optimizer = adamw([{"params": self.network.parameters(), **RATES}], truth.device)
        self.images, self.truth = images, truth

    def loss(self) -> Tensor:
        prediction = self.network(self.images)
        asked = torch.ones(len(self.truth))
        outputs = [prediction.ensemble, *prediction.streams]
        return torch.stack([self.loss_of(output, self.truth, asked) for output in outputs]).sum()

    def __call__(self) -> None:
        step(self.loss(), self.optimizer)


class StraightforwardStep:
    """The paper as it is written, with torch's own cross entropy and AdamW."""

    def __init__(self, size: str, images: list[Tensor], truth: Tensor) -> None:
        self.network = StraightforwardSegmenter(MIT_SIZES[size], CLASSES).train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), **RATES)
        self.images, self.truth = images, truth

    def loss(self) -> Tensor:
        first, second, _ = self.network(*self.images)
        weights = self.network.alpha.softmax(0)
        together = weights[0] * first.detach() + weights[1] * second.detach()
        losses = [F.cross_entropy(x, self.truth, ignore_index=UNLABELLED) for x in (together, first, second)]
        return torch.stack(losses).sum()

    def __call__(self) -> None:
        step(self.loss(), self.optimizer)


def step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def both(
    size: str, batch: int, height: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[OwnStep, StraightforwardStep]:
    """Both steps with the same weights, on the same batch."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(batch, 3, height, width, generator=generator, dtype=dtype) for _ in range(2)]
    truth = torch.randint(0, CLASSES, (batch, height // 4, width // 4), generator=generator)
    truth[:, : height // 32] = UNLABELLED
    straightforward, own = StraightforwardStep(size, images, truth), OwnStep(size, images, truth)
    for form in (own, straightforward):
        form.network.to(dtype)
    load_official(own.network, straightforward.network.state_dict())
    return own, straightforward


def check(own: OwnStep, straightforward: StraightforwardStep) -> dict[str, float]:
    """Both losses, and how far the gradients are apart over their length. Raises ``ValueError`` if they differ."""
    losses = []
    for form in (own, straightforward):
        loss = form.loss()
        loss.backward()
        losses.append(loss.item())
    expected = {translate(name): gradient(p) for name, p in straightforward.network.named_parameters()}
    found = {name: gradient(p) for name, p in own.network.named_parameters()}
    apart = torch.cat([found[name].flatten() - g.flatten() for name, g in expected.items()]).norm()
    apart = float(apart / torch.cat([g.flatten() for g in expected.values()]).norm())
    if abs(losses[0] - losses[1]) > LOSS_TOLERANCE or apart > GRADIENT_TOLERANCE:
        raise ValueError(f"losses {losses}, gradients {apart} apart: expected the same")
    return {"loss": losses[0], "straightforward_loss": losses[1], "gradients_apart": apart}


def gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def profile(run: Run) -> None:
    run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=30, max_name_column_width=60))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size", choices=MIT_SIZES, default="b0")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--image", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--runs", type=int, default=7, help="of each, after one that does not count")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    own, straightforward = both(args.size, args.batch, *args.image)
    if args.profile:
        profile(own)
        return
    result: dict[str, object] = {"size": args.size, "batch": args.batch, "image": list(args.image)}
    result |= check(own, straightforward)
    fast, slow = medians([own, straightforward], args.runs)
    result |= {"own_ms": fast, "straightforward_ms": slow, "ratio": slow / fast}
    print(f"{args.size}, batch {args.batch}: straightforward {slow:.0f} ms, own {fast:.0f} ms: {slow / fast:.2f}x")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
