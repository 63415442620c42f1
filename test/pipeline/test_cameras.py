"""Camera files."""

import pytest

from gemini_ros.pipeline.cameras import StreamTopics, camera_names, published_camera, read_camera
from gemini_ros.pipeline.settings import values_of_camera


def test_every_camera_file_is_read_and_found_by_what_it_publishes() -> None:
    cameras = {name: read_camera(name).streams for name in camera_names()}
    assert {"realsense", "bag", "custom"} <= cameras.keys()
    for name, streams in cameras.items():
        assert {"rgb", "depth"} <= streams.keys()
        assert published_camera({topics.image for topics in streams.values()}) == name
    assert cameras["bag"]["depth"] == StreamTopics(
        "/camera/depth/image_raw/compressed", "/camera/depth/camera_info", "compressed"
    )
    assert cameras["custom"]["rgb"].image == "/rgb/image"
    assert published_camera({"/somewhere/else"}) is None


def test_a_stream_under_a_name_of_its_own_is_one_that_has_an_image(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "near_ir: {image: n, camera_info: /i, image_transport: compressed, aligned: true}\n"
        "rgb: {image: /a, camera_info: /b, image_transport: raw}\n"
        "sync: {slop_s: 0.1, offset_s: {near_ir: 0.01}}\n"
    )
    camera = read_camera(str(path))
    assert list(camera.streams) == ["rgb", "near_ir"]
    assert camera.streams["near_ir"] == StreamTopics("/n/compressed", "/i", "compressed", aligned=True)
    assert values_of_camera(camera) == {"sync.slop_s": 0.1, "sync.offset_s.near_ir": 0.01}


@pytest.mark.parametrize(
    "content, message",
    [
        ("rgb: {image: /a, camera_info: /b}", "rgb needs image, camera_info and image_transport"),
        ("rgb: /a", "rgb needs"),
        ("near_ir: {image: /a, camera_info: /b}", "near_ir needs image, camera_info and image_transport"),
        (
            "near-ir: {image: /a, camera_info: /b, image_transport: raw}",
            "mine.yaml: modality 'near-ir': expected an identifier",
        ),
        ("odom: /odom", "no stream"),
        ("- rgb", "no stream"),
        (
            "rgb: {image: /a, camera_info: /b, image_transport: raw}\nodom: [1]",
            "odom .1., expected the name of a topic",
        ),
        (
            "rgb: {image: /a, camera_info: /b, image_transport: raw, aligned: 1}",
            "rgb: aligned 1, expected true or false",
        ),
    ],
)
def test_a_camera_file_of_another_form_is_refused(tmp_path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_camera(str(path))
