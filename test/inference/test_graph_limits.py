"""Graphs that ask for any amount of memory: refused before a library runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper

from gemini_ros.core.model_info import METADATA_KEY
from gemini_ros.core.onnx_file import with_graph_hash
from gemini_ros.inference import ModelError, load_segmenter
from test.deadlines import at_most_5_s
from test.inference.small_model import small_model


def _size_from(kind: str, sides: list[int], constant: str) -> Callable[[onnx.GraphProto], None]:
    """A node of ``kind`` that makes an array of a size, which stands in the graph in one of four ways."""

    def change(graph: onnx.GraphProto) -> None:
        tensor = numpy_helper.from_array(np.array(sides, np.int64), "much_size")
        if constant == "initializer":
            graph.initializer.append(tensor)
        elif constant == "values":
            graph.initializer.append(helper.make_tensor("much_size", TensorProto.INT64, [len(sides)], sides))
        else:
            value = {"value": tensor} if constant == "tensor" else {"value_ints": sides}
            graph.node.insert(0, helper.make_node("Constant", [], ["much_size"], **value))
        given = ["much_size"] if kind == "ConstantOfShape" else ["labels", "much_size"]
        graph.node.append(helper.make_node(kind, given, ["much"]))

    return change


def _large_initializer(graph: onnx.GraphProto) -> None:
    graph.initializer[0].dims[0] = 1 << 34


def _external(graph: onnx.GraphProto) -> None:
    onnx.external_data_helper.set_external_data(graph.initializer[0], "/etc/passwd")


def _large_scale(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.float32([1, 1, 1e5, 1e5]), "much_scale"))
    graph.node.append(helper.make_node("Resize", ["logits", "", "much_scale"], ["much"]))


DAMAGE = {
    "initializer": (_size_from("ConstantOfShape", [100_000, 100_000], "initializer"), "ConstantOfShape of 1e[+]10"),
    "values": (_size_from("ConstantOfShape", [100_000, 100_000], "values"), "ConstantOfShape of 1e[+]10"),
    "constant": (_size_from("Expand", [100_000, 100_000], "tensor"), "Expand of 1e[+]10 values, expected at most"),
    "ints": (_size_from("Tile", [1, 1 << 20, 1 << 20], "ints"), "Tile of 1.1e[+]12"),
    "scale": (_large_scale, "Resize of 1e[+]10"),
    "large": (_large_initializer, "of [0-9]+ values in [0-9]+ bytes: it is damaged"),
    "external": (_external, "lies in another file, expected one file"),
}


@pytest.mark.parametrize(("change", "said"), DAMAGE.values(), ids=DAMAGE)
def test_what_a_graph_may_ask_for(tmp_path: Path, change: Callable[[onnx.GraphProto], None], said: str):
    path = small_model(tmp_path / "small.onnx")
    model = onnx.load(path)
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    with at_most_5_s(), pytest.raises(ModelError, match=said) as refused:
        load_segmenter(path, backend="onnxruntime")
    assert "\n" not in str(refused.value)


def test_what_the_library_says_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = small_model(tmp_path / "small.onnx")
    model = onnx.load(path)
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Comv"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="ONNX Runtime cannot run it: ") as refused:
        load_segmenter(path, backend="onnxruntime")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
    assert "EP Error" not in capfd.readouterr().out


def _two_channels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 2


def _fewer_classes(model: onnx.ModelProto) -> None:
    info = json.loads(model.metadata_props[0].value)
    info["label_set"]["classes"].pop()
    helper.set_model_props(model, {METADATA_KEY: json.dumps(info)})


@pytest.mark.parametrize(
    ("change", "said"),
    [(_two_channels, "cannot run it"), (_fewer_classes, r"logits \(1, 10, 12, 16\), expected float32 \(1, 9, H, W\)")],
)
def test_a_network_that_is_not_what_it_says(tmp_path: Path, change: Callable[[onnx.ModelProto], None], said: str):
    path = small_model(tmp_path / "small.onnx")
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=said):
        load_segmenter(path, backend="onnxruntime")


def test_weights_are_those_that_were_exported(tmp_path: Path):
    path = small_model(tmp_path / "small.onnx")
    data = with_graph_hash(onnx.load(path), METADATA_KEY)
    path.write_bytes(data)
    load_segmenter(path, backend="onnxruntime").close()
    weights = next(t for t in onnx.load(path).graph.initializer if t.name == "weights").raw_data
    at = data.index(weights)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(ModelError, match="its weights are not those that were exported; copy the file again"):
        load_segmenter(path, backend="onnxruntime")
