"""The language branch: the plain network's answers never depend on it, and a file says what torch says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from gemini_ros.core.phrase_maps import no_phrases
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.export import write_model_file
from gemini_ros.network.language.branch import LanguageBranch, LanguageOptions
from gemini_ros.network.language.latents import window_grid, windows
from gemini_ros.network.language.maps import Geometry, plain_maps
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import normalise
from gemini_ros.training.modalities import described
from test.network.phrase_models import (
    CAMERA,
    SIZE,
    asked,
    branch,
    frame,
    info_of,
    network,
    of_another_encoder,
    write,
)

ALL = ("rgb", "depth", "thermal")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("phrases")
    return {language: write(folder, language=language) for language in (True, False)}


def _run(path: Path, phrases: dict[str, np.ndarray], seed: int = 0, present: tuple[float, ...] = (1, 1, 1)):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = {name: image[None] for name, image in frame(seed).images().items()}
    inputs = images | {"present": np.array(present, np.float32)} | phrases
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("present", [(1, 1, 1), (0, 1, 1), (1, 0, 0)])
def test_labels_confidence_and_logits_are_those_of_the_plain_model(files, present) -> None:
    plain = _run(files[False], {}, present=present)
    for phrases in (no_phrases(4, 16), asked(4, 1).padded(4, 16), asked(2, 2).padded(4, 16)):
        found = _run(files[True], phrases, present=present)
        for name in ("labels", "confidence", "logits"):
            np.testing.assert_array_equal(found[name], plain[name])


@pytest.mark.slow
def test_a_row_without_a_phrase_gives_nothing_and_disturbs_no_other(files) -> None:
    phrases = asked(2).padded(4, 16)
    noisy = {**phrases, "phrases": phrases["phrases"] + 5 * (1 - phrases["phrase_mask"][..., None])}
    both, alone = (_run(files[True], given) for given in (noisy, phrases))
    for name in ("phrase_prob", "phrase_present", "phrase_count"):
        assert not both[name][2:].any()
        assert both[name][:2].any()
        np.testing.assert_array_equal(both[name], alone[name])
    width, height = SIZE
    assert both["phrase_prob"].shape == (4, height // 4, width // 4)
    assert both["phrase_prob"].dtype == np.uint8
    np.testing.assert_allclose(both["phrase_count"][:2].sum(1), 1, rtol=1e-5)


@pytest.mark.slow
def test_the_file_says_what_torch_says_and_words_matter(files) -> None:
    plain = network()
    made = branch(plain)
    graph = ModelFile(plain, described(ALL), SIZE, language=made).eval()
    phrases = asked(3).padded(4, 16)
    given = [torch.from_numpy(image[None]) for image in frame().images().values()]
    with torch.inference_mode():
        expected = graph(*given, torch.ones(3), *(torch.from_numpy(a) for a in phrases.values()))
    found = _run(files[True], phrases)
    assert np.abs(found["phrase_prob"].astype(int) - expected[3].numpy()).max() <= 3  # weights are stored as fp16
    np.testing.assert_allclose(found["phrase_present"], expected[4].numpy(), atol=5e-3)
    np.testing.assert_allclose(found["phrase_count"], expected[5].numpy(), atol=5e-3)
    other = _run(files[True], asked(3, seed=7).padded(4, 16))
    assert (other["phrase_prob"][:3] != found["phrase_prob"][:3]).mean() > 0.3


def test_in_torch_too_phrases_change_nothing_but_their_own_outputs() -> None:
    plain = network()
    with_phrases = ModelFile(plain, described(ALL), SIZE, language=branch(plain)).eval()
    alone = ModelFile(plain, described(ALL), SIZE).eval()
    given = [torch.from_numpy(image[None]) for image in frame().images().values()]
    with torch.inference_mode():
        expected = alone(*given, torch.ones(3))
        for phrases in (no_phrases(4, 16), asked(3).padded(4, 16)):
            found = with_phrases(*given, torch.ones(3), *(torch.from_numpy(a) for a in phrases.values()))
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=False))
            assert [output.any().item() for output in found[3:]] == [bool(phrases["phrase_mask"].any())] * 3


def test_deploy_form_equals_the_trained_form() -> None:
    plain = network()
    made = branch(plain)
    phrases = asked(4)
    cameras = [torch.from_numpy(image[None]) for image in frame().images().values()]
    present, known = torch.ones(1, 3), described(ALL)
    images = [
        normalise(m, SIZE[::-1])(image, present[:, i]) for i, (m, image) in enumerate(zip(known, cameras, strict=True))
    ]
    with torch.inference_mode():
        maps = plain_maps(plain, images, present, Geometry(known, SIZE)(cameras, present))
        found = made(maps, torch.from_numpy(phrases.phrases)[None], torch.from_numpy(phrases.mask)[None])
        graph = ModelFile(plain, known, SIZE, language=made).eval()
        deployed = graph(*cameras, present[0], torch.from_numpy(phrases.phrases), torch.from_numpy(phrases.mask))
    assert found.masks is not None
    expected = (found.masks[0].sigmoid() * 255 + 0.5).floor()
    assert (deployed[3].float() - expected).abs().max() <= 1
    torch.testing.assert_close(deployed[4], found.present[0].sigmoid(), atol=1e-4, rtol=0)
    torch.testing.assert_close(deployed[5], found.count[0].softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_backends_answer_phrases(files, backend, tmp_path) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    reference = _run(files[True], asked(3).padded(4, 16))
    segmenter = load_segmenter(files[True], backend=backend, camera_size=CAMERA, cache_dir=tmp_path, threads=1)
    try:
        said, quiet = segmenter.segment(frame(), asked(3)), segmenter.segment(frame())
        assert quiet.phrases is None
        assert said.phrases is not None
        assert said.phrases.texts == asked(3).texts
        if backend == "onnxruntime":
            np.testing.assert_array_equal(said.labels, quiet.labels)
            np.testing.assert_array_equal(said.confidence, quiet.confidence)
        lower = backend == "openvino"  # which may compute in bf16
        assert np.abs(said.phrases.prob.astype(int) - reference["phrase_prob"][:3]).max() <= (8 if lower else 1)
        np.testing.assert_allclose(said.phrases.present, reference["phrase_present"][:3], atol=0.05 if lower else 1e-4)
        np.testing.assert_allclose(said.phrases.count, reference["phrase_count"][:3], atol=0.05 if lower else 1e-4)
        with pytest.raises(ValueError, match="encode them again"):
            segmenter.segment(frame(), of_another_encoder(asked()))
        with pytest.raises(ValueError, match="at most 4"):
            segmenter.segment(frame(), asked(5))
    finally:
        segmenter.close()


@pytest.mark.slow
def test_a_plain_file_answers_no_phrases(files) -> None:
    assert read_model_info(files[True]).language is not None
    segmenter = load_segmenter(files[False], backend="onnxruntime", threads=1)
    assert segmenter.segment(frame(), asked()).phrases is None
    segmenter.close()


@pytest.mark.parametrize(
    "options", [LanguageOptions(text_in_encoder=False), LanguageOptions(interactions=False), LanguageOptions(width=32)]
)
@pytest.mark.parametrize("modalities", [("rgb",), ("rgb", "depth")])
def test_ablations_and_fewer_modalities(options, modalities) -> None:
    plain = network(modalities)
    made = branch(plain, options)
    graph = ModelFile(plain, described(modalities), SIZE, language=made).eval()
    given = [torch.from_numpy(frame().images()[name][None]) for name in modalities]
    phrases = [torch.from_numpy(a) for a in asked(2).padded(4, 16).values()]
    with torch.inference_mode():
        found = graph(*given, torch.ones(len(modalities)), *phrases)
    assert all(torch.isfinite(output.float()).all() for output in found)
    assert found[3][:2].any() and not found[3][2:].any()


def test_windows_are_disjoint_and_complete() -> None:
    x = torch.arange(2 * 6 * 10, dtype=torch.float32).reshape(1, 2, 6, 10) + 1
    found = windows(x)
    assert found.shape == (1, 8, 9, 2) and window_grid(6, 10) == (2, 4)
    assert found[0, 0, :, 0].tolist() == x[0, 0, :3, :3].flatten().tolist()
    assert found[0, 5, :, 1].tolist() == x[0, 1, 3:6, 3:6].flatten().tolist()
    assert sorted(found[found > 0].tolist()) == x.flatten().tolist()


def test_what_does_not_fit_is_refused(tmp_path) -> None:
    plain = network(("rgb", "depth"))
    with pytest.raises(ValueError, match="both or neither"):
        write_model_file(plain, info_of(("rgb", "depth")), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="stacked"):
        ModelFile(plain, described(("rgb", "depth")), SIZE, stacked=True, language=branch(plain))
    with pytest.raises(ValueError, match="MiT"):
        LanguageBranch(FusionSegmenter("swin_tiny", ("rgb",), 3))
    with pytest.raises(ValueError, match="width 12"):
        LanguageOptions(width=12)
