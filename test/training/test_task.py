"""The loss against loops, and a start from a network of one modality."""

import lightning
import numpy as np
import pytest
import torch

from gemini_ros.network.fusion.channel_exchange import exchanged_share
from gemini_ros.training.augmentation import BEFORE
from gemini_ros.training.degraded import complete_frames, single_modality
from gemini_ros.training.loss import SegmentationLoss, dice_loss, distillation_loss
from gemini_ros.training.options import LossOptions, NetworkOptions, OptimizerOptions, RobustOptions, ScheduleOptions
from gemini_ros.training.schedule import rate_factor
from gemini_ros.training.task import SegmentationTask
from test.training.toy import nano, save_checkpoint, toy_sample

pytestmark = pytest.mark.torch


def test_dice_loss_against_loops():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, dtype=torch.double)
    truth = torch.randint(0, 3, (2, 3, 5))  # nothing of class 3
    truth[0, 1, 2] = 255
    weight = (truth != 255).double()
    weight[1, 0] = 0
    probability = logits.softmax(1)
    per_class = []
    for label in range(3):
        overlap = predicted = area = 0.0
        for b, y, x in np.ndindex(2, 3, 5):
            if weight[b, y, x]:
                p, held = float(probability[b, label, y, x]), int(truth[b, y, x] == label)
                overlap, predicted, area = overlap + p * held, predicted + p, area + held
        per_class.append(1 - 2 * overlap / (predicted + area))
    assert dice_loss(logits, truth, weight).item() == pytest.approx(np.mean(per_class), rel=1e-12)
    assert dice_loss(logits, truth, torch.zeros_like(weight)) == 0


def test_dice_loss_of_a_perfect_answer_is_zero():
    truth = torch.tensor([[[0, 1], [2, 1]]])
    logits = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2) * 100.0
    assert dice_loss(logits, truth, torch.ones(1, 2, 2)).item() == pytest.approx(0, abs=1e-6)


def loss_by_loops(logits, truth, asked, weights, kept):
    probability = logits.log_softmax(1)
    total = norm = 0.0
    for b, y, x in np.ndindex(tuple(truth.shape)):
        if asked[b] and truth[b, y, x] != 255 and kept[b, y, x]:
            label = int(truth[b, y, x])
            total -= weights[label] * float(probability[b, label, y, x])
            norm += weights[label]
    return total / norm


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 3.0, 0.0]])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_cross_entropy_of_asked_labelled_hard_pixels(weights, threshold):
    torch.manual_seed(0)
    logits = 2 * torch.randn(2, 4, 5, 6)
    truth = torch.randint(0, 3, (2, 5, 6))
    truth[0, 1, 2] = 255
    asked = torch.tensor([1.0, 0.0])
    true = logits.softmax(1).gather(1, truth.clamp(max=3)[:, None])[:, 0]
    kept = true < threshold if threshold else torch.ones_like(true)
    assert kept[0].sum() > 2
    options = LossOptions(class_weights=weights, ohem_threshold=threshold)
    found = SegmentationLoss(4, options)(logits, truth, asked)
    assert found.item() == pytest.approx(loss_by_loops(logits, truth, asked, weights or [1.0] * 4, kept), rel=1e-5)
    assert SegmentationLoss(4, options)(logits, truth, torch.zeros(2)) == 0


def test_where_all_is_easy_the_hardest_sixteenth_is_kept():
    truth = torch.zeros(1, 4, 8, dtype=torch.long)
    logits = torch.zeros(1, 2, 4, 8)
    logits[0, 0] = torch.arange(32).reshape(4, 8) / 10 + 5
    found = SegmentationLoss(2, LossOptions(ohem_threshold=0.7))(logits, truth, torch.ones(1))
    expected = torch.nn.functional.softplus(-torch.tensor([5.0, 5.1])).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": [1.0]},
        {"class_weights": [1, -1]},
        {"ohem_threshold": 0.0},
        {"class_weights": [1, float("nan")]},
        {"dice": -1.0},
        {"dice": float("nan")},
    ],
)
def test_loss_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"(class_weights|ohem_threshold|dice) .*, expected"):
        SegmentationLoss(2, LossOptions(**options))


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (9, 1.0), (10, 1.0), (29, 1 - 19 / 40), (50, 0.5), (75, 0.25), (99, 0.5 * (1 - 49 / 50))],
)
def test_rate_warms_up_and_decays_anew_in_each_stage(step, expected):
    assert rate_factor(step, 100, ScheduleOptions(10, "poly", (1.0, 0.5))) == pytest.approx(expected)


def test_cosine_goes_from_one_to_zero_over_its_middle():
    factors = [rate_factor(step, 110, ScheduleOptions(10)) for step in (10, 60, 110)]
    assert factors == pytest.approx([1, 0.5, 0], abs=1e-12)


def test_single_output_teaches_the_streams_through_the_ensemble():
    """The same sample's gradient on the head is the ensemble's alone, and a stream that is absent gets none."""
    task = SegmentationTask(nano("rgb", "depth"), LossOptions(single_output=True))
    task.log = lambda *_args, **_kwargs: None
    task.training_step(toy_sample(), 0).backward()
    for name, parameter in task.network.named_parameters():
        assert parameter.grad is not None, name
    only_absent = toy_sample() | {"present": torch.tensor([[1.0, 0.0], [1.0, 0.0]])}
    task.zero_grad()
    task.training_step(only_absent, 0).backward()
    assert task.network.alpha.grad is not None and task.network.alpha.grad.abs().max() < 1e-7
    last_norm = task.network.encoder.stages[3].norm
    assert not last_norm[1].weight.grad.any() and last_norm[0].weight.grad.any()


def test_the_divergence_against_loops_and_its_gradient_at_any_temperature():
    torch.manual_seed(0)
    own, teacher = (torch.randn(2, 4, 3, 5, dtype=torch.double) for _ in range(2))
    p, q = ((x / 2).softmax(1) for x in (teacher, own))
    expected = 4 * sum(float((p[b, :, y, x] * (p / q)[b, :, y, x].log()).sum()) for b, y, x in np.ndindex(2, 3, 5)) / 30
    assert distillation_loss(own, teacher, 2.0).item() == pytest.approx(expected, rel=1e-12)
    assert distillation_loss(own, own, 3.0).item() == pytest.approx(0, abs=1e-12)


def test_a_degraded_frame_is_told_what_the_network_says_of_the_frame_before():
    """The teacher sees the degraded frames alone, as they were; it has no gradient and leaves no trace in the norms."""
    torch.manual_seed(0)
    task = SegmentationTask(nano("rgb", "depth"), robust=RobustOptions(distillation=1.0))
    task.log = lambda *_args, **_kwargs: None
    sample = toy_sample()  # the second frame has no depth
    complete, degraded = complete_frames(sample)
    assert degraded.tolist() == [False, True] and complete["present"].tolist() == [[1, 1]]
    holes = sample["depth"].clone()
    holes[0, 5:9] = torch.nan
    spoilt = sample | {"depth": holes, BEFORE + "rgb": sample["rgb"], BEFORE + "depth": sample["depth"]}
    complete, degraded = complete_frames(spoilt)
    assert degraded.tolist() == [True, True] and torch.equal(complete["depth"], sample["depth"])
    same = spoilt | {BEFORE + "depth": holes, "present": torch.ones(2, 2)}
    assert not complete_frames(same)[1].any()

    prediction = task(sample)
    statistics = task.network.decoder.norm.running_mean.clone()
    loss = task._distillation(sample, prediction)
    task.network.eval()
    with torch.no_grad():
        teacher = task({name: value[1:] for name, value in sample.items()} | {"present": torch.ones(1, 2)}).ensemble
    expected = distillation_loss(prediction.streams[0][1:], teacher, 2.0)  # depth is gone, RGB answers alone
    torch.testing.assert_close(loss, expected)
    assert torch.equal(task.network.decoder.norm.running_mean, statistics) and not task._distillation(same, prediction)
    loss.backward()
    assert task.network.decoder.predict.weight.grad.abs().max() > 0


def test_distillation_is_added_to_the_loss_by_its_weight(monkeypatch):
    losses = []
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        task = SegmentationTask(nano("rgb", "depth"), robust=RobustOptions(distillation=weight))
        task.log = lambda *_args, **_kwargs: None
        monkeypatch.setattr(task, "_distillation", lambda *_: torch.tensor(3.0))
        losses.append(task.training_step(toy_sample(), 0).item())
    assert losses[1] - losses[0] == pytest.approx(1.5, abs=1e-5)


@pytest.mark.parametrize("streams", [2, 3])
def test_one_modality_alone_in_turn(streams):
    sample = {"present": torch.ones(2, streams)}
    found = [single_modality(sample, step, 3)["present"] for step in range(9)]
    alone = {2: 0, 5: 1, 8: 2 % streams}
    for step, present in enumerate(found):
        expected = torch.eye(streams)[alone[step]].expand(2, -1) if step in alone else torch.ones(2, streams)
        assert torch.equal(present, expected), step
    assert single_modality(sample, 5, 0) is sample and single_modality({"present": torch.ones(2, 1)}, 2, 3)


@pytest.mark.parametrize("options", [{"distillation": -1.0}, {"distillation_temperature": 0.0}, {"single_every": -1}])
def test_robust_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=rf"{next(iter(options))} .*, expected"):
        RobustOptions(**options)


@pytest.fixture
def alone(tmp_path):
    """A network of RGB alone and its checkpoint."""
    torch.manual_seed(0)
    task = SegmentationTask(nano("rgb")).eval()
    for name, parameter in task.named_parameters():
        torch.nn.init.normal_(parameter, float(".norm" in name and name.endswith("weight")), std=0.1)
    return task, save_checkpoint(task, tmp_path / "alone.ckpt")


@pytest.mark.parametrize(
    ("fusion", "tolerance"),
    [
        *((name, 1e-5) for name in ("gemini", "gemini_gated", "none", "concat", "cross_attention", "channel_exchange")),
        ("token_exchange", 3e-2),  # its scores are nearly 1
    ],
)
def test_two_streams_start_as_the_network_of_one(alone, fusion, tolerance):
    """Each stream of the new network gives, for its own image, what the old one gave."""
    old, checkpoint = alone
    new = SegmentationTask(nano("rgb", "depth", fusion=fusion), weights=checkpoint).eval()
    images = [torch.randn(2, 3, 32, 64) for _ in range(2)]
    with torch.inference_mode():
        found = new.network(images).streams
        for image, logits in zip(images, found, strict=True):
            expected = old.network([image]).streams[0]
            torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance * float(expected.abs().max()))
    assert (found[0] - found[1]).abs().max() > 0.1 * found[0].abs().max()


def test_depth_alone_starts_as_the_network_of_rgb_alone(alone):
    old, checkpoint = alone
    new = SegmentationTask(nano("depth"), weights=checkpoint).eval()
    image = torch.randn(2, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(new.network([image]).ensemble, old.network([image]).ensemble)
    assert new.network.modalities == ("depth",)


def test_a_penalty_lets_channels_be_exchanged():
    """A step shrinks the scales of one half of each stream's channels by its learning rate times the penalty."""
    torch.manual_seed(0)
    task = SegmentationTask(
        nano("rgb", "depth", fusion="channel_exchange"),
        optimizer=OptimizerOptions(channel_sparsity=1e4),
        schedule=ScheduleOptions(warmup_steps=1),
    )
    assert exchanged_share(task.network) == 0
    sample = toy_sample() | {"present": torch.ones(2, 2)}
    items = [{name: value[i] for name, value in sample.items()} for i in range(2)]
    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(task, torch.utils.data.DataLoader(items, 2))
    assert exchanged_share(task.network) == 0.5
    first, second = (task.network.encoder.stages[0].blocks[0].norm2[stream].weight for stream in range(2))
    assert not first[:8].any() and not second[8:].any() and first[8:].all() and second[:8].all()


def test_a_network_of_another_size_is_not_spread(tmp_path):
    checkpoint = save_checkpoint(SegmentationTask(nano("rgb")), tmp_path / "old.ckpt")
    with pytest.raises(ValueError, match=r"old\.ckpt: network\.\S+ has shape \(\S+, .*\), expected"):
        SegmentationTask(NetworkOptions("b0", ("rgb", "depth"), "warehouse"), weights=checkpoint)
