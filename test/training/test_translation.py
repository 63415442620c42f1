"""Image to image: what is learnt, from which pairs, and one toy training from the command line to the model file."""

import json
import shutil

import pytest
import torch

from gemini_ros.core.model_info import Target
from gemini_ros.inference.translator import LARGEST_DIFFERENCE, Translator, golden_difference
from gemini_ros.network.translation import channels_of
from gemini_ros.training.export import export_checkpoint
from gemini_ros.training.fit import train
from gemini_ros.training.translation import (
    PairFrames,
    PairOptions,
    TranslationOptions,
    TranslationTask,
    require_pairs,
    translation_loss,
)
from test.training.toy import save_checkpoint, write_folder

DEPTH = Target("depth", (0.1, 20.0))


def test_the_loss_is_zero_on_values_and_gradients_at_the_truth_and_blind_to_what_is_not_known():
    maps = torch.zeros(1, channels_of(DEPTH), 4, 6)
    unit = torch.full((1, 1, 16, 24), 0.5)  # sigmoid(0)
    known = torch.ones(1, 16, 24, dtype=torch.bool)
    assert float(translation_loss(maps, unit, known, DEPTH, 1.0, 0.0)) == 0
    unit[..., 3:8, 5:9] = 0.9
    assert float(translation_loss(maps, unit, known, DEPTH, 1.0, 0.0)) > float(
        translation_loss(maps, unit, known, DEPTH, 0.0, 0.0)
    )
    known[:, 3:8, 5:9] = False
    unit[..., 3:8, 5:9] = float("nan")
    assert float(translation_loss(maps, unit, known, DEPTH, 1.0, 0.0)) == 0


def test_the_confidence_moves_its_own_channel_alone():
    maps = torch.zeros(1, channels_of(DEPTH), 4, 6, requires_grad=True)
    unit, known = torch.rand(1, 1, 16, 24), torch.ones(1, 16, 24, dtype=torch.bool)
    own = translation_loss(maps, unit, known, DEPTH, 0.0, 0.0)
    (both,) = torch.autograd.grad(translation_loss(maps, unit, known, DEPTH, 0.0, 1.0), maps)
    (alone,) = torch.autograd.grad(own, maps)
    assert torch.equal(both[:, :16], alone[:, :16])
    assert both[:, 16:].abs().min() > 0
    assert not alone[:, 16:].any()


def test_holes_are_cut_into_the_input_and_not_into_the_target(tmp_path):
    folder = write_folder(tmp_path / "toy", 3)
    frames = PairFrames(folder, None, ("rgb", "depth"), "depth", PairOptions(), train=False)
    sample, again = frames[1], frames[1]
    holes, known = torch.isnan(sample["depth"]), sample["known"]
    assert holes.float().mean() > (~known).float().mean() + 0.02
    assert torch.equal(sample["depth"][~holes], sample["target"][~holes])
    assert torch.equal(holes, torch.isnan(again["depth"]))
    crop = PairFrames(folder, None, ("rgb", "depth"), "depth", PairOptions(crop_size=(64, 32)), train=True)[0]
    assert crop["target"].shape == crop["depth"].shape == (32, 64)


def test_pairs_of_day_and_dark_have_the_same_frames(tmp_path):
    day, dark = write_folder(tmp_path / "day", 3), write_folder(tmp_path / "dark", 3)
    (rgb := dark / "rgb/001.jpg").write_bytes((dark / "rgb/002.jpg").read_bytes())
    frames = PairFrames(day, dark, ("rgb",), "rgb", PairOptions(), train=False)
    assert not torch.equal(frames[1]["rgb"], frames[1]["target"])
    assert torch.equal(frames[0]["rgb"], frames[0]["target"])
    assert rgb.exists()
    other = write_folder(tmp_path / "other", 2)
    with pytest.raises(ValueError, match="expected the same scenes in the dark: render both with one seed"):
        PairFrames(day, other, ("rgb",), "rgb", PairOptions(), train=False)


def test_a_target_that_is_an_input_at_the_same_pixels_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holes 0: the target depth is also an input at the same pixels"):
        require_pairs(("rgb", "depth"), "depth", PairOptions(holes=0))
    with pytest.raises(ValueError, match=r"dark_train has 0 folders and train 1: the target rgb is also an input"):
        require_pairs(("rgb", "thermal"), "rgb", PairOptions(train=(tmp_path,)))
    require_pairs(("thermal",), "rgb", PairOptions(train=(tmp_path,), val=tmp_path))
    day, dark = tmp_path / "day", tmp_path / "dark"
    require_pairs(("rgb",), "rgb", PairOptions((day,), day, (dark,), dark))
    with pytest.raises(ValueError, match=r"dark_val has 0 folders and val 1: the target rgb is also an input"):
        require_pairs(("rgb",), "rgb", PairOptions((day,), day, (dark,)))
    for same in (PairOptions((day,), day, (dark / "../day",), dark), PairOptions((day,), day, (dark,), day)):
        with pytest.raises(ValueError, match=r"dark_\w+ .*day: the same folder as in \w+, so that the target"):
            require_pairs(("rgb",), "rgb", same)
    with pytest.raises(ValueError, match="confidence 0: the model would have no confidence"):
        TranslationOptions("nano", ("rgb",), "depth", confidence=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"scores": {"complete": {"all": {"miou": 0.5}}}},
            r"s\.json: no scores of `gemini-ros train test` of translate",
        ),
        ({"scores": {"translation": []}}, r"s\.json: no scores of `gemini-ros train test` of translate"),
        ({"scores": {"translation": {"all": 0.5}}}, r"s\.json: no scores of `gemini-ros train test` of translate"),
        ({"layout": "mfnet_9"}, "layout mfnet_9: a model of task translate learns from simulated, leave it out"),
    ],
)
def test_what_an_export_of_a_translation_does_not_take_is_said(tmp_path, given, message):
    checkpoint = save_checkpoint(TranslationTask(TranslationOptions("nano", ("rgb",), "depth")), tmp_path / "a.ckpt")
    if "scores" in given:
        (tmp_path / "s.json").write_text(json.dumps(given["scores"]))
        given = {"scores": tmp_path / "s.json"}
    folder = write_folder(tmp_path / "toy", 1)
    with pytest.raises(ValueError, match=message):
        export_checkpoint(checkpoint, tmp_path / "x.onnx", frames=folder, **given)
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.slow
def test_from_the_command_line_to_the_model_file(tmp_path):
    folder = write_folder(tmp_path / "toy", 4)
    common = [
        "--model.task=translate", "--model.network.encoder=nano", "--model.network.modalities=[rgb, depth]",
        "--model.network.target=depth", f"--data.pairs.val={folder}", "--data.loading.batch_size=2",
        "--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.logger=false",
        f"--trainer.default_root_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false",
    ]  # fmt: skip
    learn = [f"--data.pairs.train=[{folder}]", "--data.pairs.crop_size=[64, 64]", "--trainer.max_steps=3"]
    train(["fit", *common, *learn])
    (checkpoint,) = (tmp_path / "run").rglob("*.ckpt")
    with pytest.raises(ValueError, match="no checkpoint is given"):
        train(["test", *common])
    other = [word.replace("[rgb, depth]", "[depth]") for word in common]
    with pytest.raises(ValueError, match=r"modalities is \('rgb', 'depth'\), the configuration says \('depth',\)"):
        train(["test", *other, f"--ckpt_path={checkpoint}"])
    train(["test", *common, f"--ckpt_path={checkpoint}"])
    written = json.loads((tmp_path / "run/scores.json").read_text())
    scores, rivals = written["translation"], written["rivals"]
    assert rivals["nearest"]["frames"] == rivals["bilinear"]["frames"] == 4
    assert rivals["nearest"]["hole_share"] == pytest.approx(scores["all"]["hole_share"])
    assert set(scores) == {"all", "day", "dark"}
    assert scores["all"]["abs_error_m"] > 0
    assert scores["all"]["frames"] == 4
    out = tmp_path / "completed.onnx"
    export_checkpoint(checkpoint, out, frames=folder, scores=tmp_path / "run/scores.json")
    translator = Translator(out, "depth")
    assert translator.info.scores["abs_error_m"] == pytest.approx(scores["all"]["abs_error_m"])
    assert golden_difference(translator, out.with_suffix(".golden.npz")) < LARGEST_DIFFERENCE
    stored = torch.load(checkpoint, weights_only=False)
    for weight in stored["state_dict"].values():
        weight.fill_(torch.nan) if weight.is_floating_point() else weight
    torch.save(stored, checkpoint)
    with pytest.raises(ValueError, match=r"\.ckpt: network\..* holds NaN or infinity"):
        export_checkpoint(checkpoint, tmp_path / "spoilt.onnx", frames=folder)
    assert not (tmp_path / "spoilt.onnx").exists()
    shutil.rmtree(tmp_path / "run")


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match=r"model\.task 'dream', expected one of segment, translate"):
        train(["fit", "--model.task", "dream"])
