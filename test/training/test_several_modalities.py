"""RGB, depth and thermal through the whole of training: from folders and simulation to files of each precision."""

import itertools
import json
from contextlib import closing

import cv2
import numpy as np
import onnx
import pytest
import torch

from gemini_ros.cli import main
from gemini_ros.core.frames import Frame
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.inference.cache import PASSED
from gemini_ros.inference.gate import gate, golden_path
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.training.data import ImageFolder
from gemini_ros.training.export import load_task
from gemini_ros.training.task import SegmentationTask
from test.network.test_export_matrix import require_allowed
from test.training.toy import nano, save_checkpoint, toy_sample, write_folder

pytestmark = pytest.mark.torch
NAMES = ("rgb", "depth", "thermal")


def with_thermal(root):
    """The toy set with thermal images beside the others; they repeat what depth tells."""
    folder = write_folder(root)
    (folder / "thermal").mkdir()
    for path in (folder / "depth").iterdir():
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / "thermal" / path.name), (28000 + depth // 4).astype(np.uint16))
    return folder


def sample_of_three(present):
    return toy_sample() | {"thermal": 20 + 5 * torch.randn(2, 64, 96), "present": torch.tensor(present)}


def test_a_stream_is_asked_while_any_of_its_modalities_is_there():
    """The first sample has thermal in its second stream, the second nothing: what it says there is not scored."""
    task = SegmentationTask(nano(*NAMES)).eval()
    task.log = lambda *_args, **_kwargs: None
    sample = sample_of_three([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    truth = sample["labels"][:, 2::4, 2::4].long()
    with torch.no_grad():
        prediction = task(sample)
        expected = task.loss(prediction.ensemble, truth, torch.ones(2)) + task.loss(
            prediction.streams[0], truth, torch.ones(2)
        )
        expected += task.loss(prediction.streams[1], truth, torch.tensor([1.0, 0.0]))
        assert task.training_step(sample, 0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_one_modality_start_all_three(tmp_path):
    one = SegmentationTask(nano("rgb")).eval()
    with torch.no_grad():
        for parameter in one.network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    task = SegmentationTask(nano(*NAMES), weights=save_checkpoint(one, tmp_path / "x.ckpt")).eval()
    own, old = task.network.state_dict(), one.network.state_dict()
    norms = {name for name, module in task.network.named_modules() if isinstance(module, ModalityNorm)}
    copies = [f"{name}.{m}.weight" for name in norms for m in range(3) if f"{name}.{m}.weight" in own]
    assert sum("embed" in name for name in copies) == 12
    for name in copies:
        head, _, last = name.rpartition(".")
        assert torch.equal(own[name], old[f"{head.rpartition('.')[0]}.0.{last}"])
    sample = sample_of_three([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    with torch.inference_mode():
        expected = one({"rgb": sample["rgb"], "present": torch.ones(2, 1)}).ensemble
        torch.testing.assert_close(task(sample).streams[0], expected, rtol=1e-4, atol=1e-4)


def test_other_modalities_are_named():
    with pytest.raises(
        ValueError, match="modality 'event', expected one of rgb, depth, thermal: training knows no other"
    ):
        SegmentationTask(nano("rgb", "depth", "event"))


@pytest.mark.slow
def test_two_steps_make_a_file_that_each_precision_and_its_gate_take(tmp_path, capsys):
    folder = with_thermal(tmp_path / "set")
    common = [
        "--config=config/training/warehouse_rgbdt_nano.yaml",
        f"--data.folders.train=['{folder}']",
        f"--data.folders.val={folder}",
        "--data.loading.batch_size=4",
        "--data.augmentation.crop_size=[64,64]",
        f"--trainer.default_root_dir={tmp_path / 'run'}",
        f"--trainer.logger.init_args.save_dir={tmp_path / 'run'}",
        "--trainer.enable_progress_bar=false",
    ]
    assert main(["train", "fit", *common, "--trainer.max_steps=2", "--trainer.val_check_interval=2"]) == 0
    (checkpoint,) = (tmp_path / "run").rglob("*.ckpt")
    make_certain(checkpoint, folder)
    assert main(["train", "test", *common, f"--ckpt_path={checkpoint}"]) == 0
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert set(scores) == {"complete", *(f"without {name}" for name in NAMES)}

    out = tmp_path / "x.onnx"
    assert main(["model", "export", str(checkpoint), "--frames", str(folder), "--out", str(out)]) == 0
    assert read_model_info(out).modality_names == NAMES
    require_allowed(onnx.load(out))
    check_every_subset(out, checkpoint, folder)
    for precision in ("fp16", "int8"):
        made = tmp_path / f"{precision}.onnx"
        convert = ["model", "convert", str(out), "--precision", precision, "--frames", str(folder), "--out", str(made)]
        assert main(convert) == 0, capsys.readouterr().err
        with closing(load_segmenter(made, backend="onnxruntime", threads=1)) as segmenter:
            assert gate(segmenter, golden_path(made), made).state == PASSED


def make_certain(checkpoint, folder):
    """Scale the logits until some labels are certain enough for a gate to judge by; after two steps none is."""
    sample = {name: value[None] for name, value in ImageFolder(folder, NAMES)[2].items()}
    with torch.inference_mode():
        logits = load_task(checkpoint)(sample).ensemble
    factor = 1.0
    while ((factor * logits).softmax(1).amax(1) > 0.6).float().mean() < 0.3:
        factor *= 1.4
    data = torch.load(checkpoint, weights_only=True)
    for name in ("weight", "bias"):
        data["state_dict"][f"network.decoder.predict.{name}"] *= factor
    torch.save(data, checkpoint)


def check_every_subset(path, checkpoint, folder):
    """The file says what the checkpoint says, whatever is missing, and a missing image has no influence."""
    task = load_task(checkpoint)
    sample = {name: value[None] for name, value in ImageFolder(folder, NAMES)[2].items()}
    images = {name: sample[name][0].numpy() for name in NAMES}
    with closing(load_segmenter(path, backend="onnxruntime", threads=1)) as segmenter:
        for flags in itertools.product((0.0, 1.0), repeat=3):
            if not any(flags):
                continue
            given = {name: image for (name, image), flag in zip(images.items(), flags, strict=True) if flag}
            with torch.inference_mode():
                logits = task(sample | {"present": torch.tensor([flags])}).ensemble
                logits = torch.nn.functional.interpolate(logits, (64, 96), mode="bilinear", align_corners=False)[0]
            best = logits.topk(2, 0).values
            found = segmenter.segment(Frame.from_images(0, "camera", given)).labels
            clear = (best[0] - best[1] > 0.02 * logits.std()).numpy()
            assert clear.mean() > 0.5
            np.testing.assert_array_equal(found[clear], logits.argmax(0).numpy()[clear])
