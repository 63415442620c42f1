"""Which sections of a file of ROS parameters reach the segmenter."""

from __future__ import annotations

import pytest

from gemini_ros.pipeline.parameter_files import Section, meant_for_another
from gemini_ros.pipeline.settings import foreign_names, names_for_every_node, read_parameter_file


def parameters(slop_s: float) -> str:
    return f"{{ros__parameters: {{sync.slop_s: {slop_s}}}}}"


ONE, TWO = parameters(0.1), parameters(0.2)


@pytest.mark.parametrize(
    ("text", "slop_s"),
    [
        (f"segmenter: {ONE}", 0.1),
        (f"/segmenter: {ONE}", 0.1),
        (f"/robot1/segmenter: {ONE}", 0.1),
        (f"robot1/segmenter: {ONE}", 0.1),
        (f"/robot1: {{segmenter: {ONE}}}", 0.1),
        (f"fleet: {{robot1: {{segmenter: {ONE}}}}}", 0.1),
        (f"/robot1: {{'*': {ONE}}}", 0.1),
        (f"/**: {ONE}", 0.1),
        (f"/*: {ONE}", 0.1),
        (f"/**/segmenter: {ONE}", 0.1),
        (f"/*/segmenter: {ONE}", 0.1),
        (f"/robot1/**: {ONE}", 0.1),
        (f"/robot1/planner: {TWO}\n/robot1/segmenter: {ONE}", 0.1),
        # The later one wins, whichever is more particular.
        (f"/**: {TWO}\n/robot1/segmenter: {ONE}", 0.1),
        (f"/robot1/segmenter: {ONE}\n/**: {TWO}", 0.2),
        (f"/robot1/segmenter: {ONE}\n/*/segmenter: {TWO}", 0.2),
        (f"/robot1/segmenter: {ONE}\n/*: {TWO}", None),
    ],
)
def test_a_namespace_is_read_as_rcl_reads_it(tmp_path, text, slop_s):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    if slop_s is None:
        with pytest.raises(ValueError, match=r"in several namespaces \(/robot1/segmenter, /\*\)"):
            read_parameter_file(file)
    else:
        assert read_parameter_file(file) == {"sync.slop_s": slop_s}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"/robot1/segmenter: {ONE}\n/robot2/segmenter: {TWO}", "several namespaces (/robot1/segmenter, /robot2/segm"),
        (f"/robot1/planner: {ONE}", "no parameters for segmenter, only for /robot1/planner: expected ros__parameters"),
        ("{}", "no parameters for segmenter, only for nothing"),
        (f"/robot1: {{/segmenter: {ONE}}}", "is no name of a node"),
        (f"segm*: {ONE}", "'segm*' is no name of a node"),
        (f"3: {ONE}", "'3' is no name of a node"),
        ("ros__parameters: {sync.slop_s: 0.1}", "sync.slop_s' is no name of a node"),
        ("/robot1: {segmenter: 3}", "/robot1/segmenter: expected ros__parameters with names and values"),
        (
            "/robot1: {segmenter: {ros__parameters: {sync.slp_s: 0.1}}}",
            "/robot1/segmenter: no parameter sync.slp_s; did",
        ),
        ("/robot1/**: {ros__parameters: {sync.slp_s: 0.1}}", "/robot1/**: no parameter sync.slp_s; did you mean"),
        ("/**/segmenter: {ros__parameters: {wheels: 4}}", "/**/segmenter: no parameter wheels; docs"),
    ],
)
def test_what_reaches_no_segmenter_or_several_is_refused(tmp_path, text, said):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    with pytest.raises(ValueError) as error:
        read_parameter_file(file)
    assert said in str(error.value)


def test_names_of_other_nodes_are_told(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "/robot1/**: {ros__parameters: {wheels: 4, use_sim_time: true, sync.slop_s: 0.1}}\n"
        "/robot1/planner: {ros__parameters: {rate: 4}}\n"
    )
    assert read_parameter_file(file) == {"sync.slop_s": 0.1}
    assert foreign_names(names_for_every_node(file)) == [
        "wheels, under /** of a parameter file, is no parameter of this node"
    ]


def test_a_file_is_meant_for_another_where_it_names_the_node_and_does_not_reach_it():
    front, own, planner = Section("/front/segmenter", {}), Section("segmenter", {}), Section("planner", {})
    assert meant_for_another("segmenter", "/front/segmenter", [own, planner]) == ["segmenter"]
    assert meant_for_another("segmenter", "/rear/segmenter", [front, own]) == ["/front/segmenter", "segmenter"]
    assert meant_for_another("segmenter", "/front/segmenter", [front, own]) == []
    assert meant_for_another("segmenter", "/rear/segmenter", [front, Section("/**", {})]) == []
    assert meant_for_another("segmenter", "/rear/segmenter", [planner]) == []


def test_wildcards_span_what_they_span():
    assert Section("/**/segmenter", {}).reaches("/segmenter")
    assert Section("/**/segmenter", {}).reaches("/a/b/segmenter")
    assert not Section("/*/segmenter", {}).reaches("/segmenter")
    assert not Section("/*/segmenter", {}).reaches("/a/b/segmenter")
    assert not Section("/segmenter", {}).reaches("/a/segmenter")
