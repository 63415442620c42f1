"""Many bags: one page and equal JSON however the bags were split, and what is lost when something ends a run."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gemini_ros.cli import main
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.many import bag_names, evaluate_many, merge
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.store import STORE, Store
from test.evaluation.drive import write_drive
from test.small_disk import small_disk

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Three bags of which two share their name and one has no truth, and one that is no bag."""
    folder = tmp_path_factory.mktemp("bags")
    every = ("rgb", "depth", "odom", "info", "tf")
    for name in ("a/drive", "b/drive", "c"):
        (folder / name).parent.mkdir(exist_ok=True)
    return [
        write_drive(folder / "b/drive.mcap", frames=3, streams=every),
        write_drive(folder / "a/drive.mcap", frames=4, streams=(*every, "labels")),
        write_drive(folder / "c.mcap", frames=5, streams=(*every, "labels")),
    ]


def command(bags: list[Path], out: Path, *options: str) -> list[str]:
    return ["evaluate", *map(str, bags), "--model", str(MODEL), "--out", str(out), *options]


@pytest.fixture(scope="module")
def whole(bags, tmp_path_factory):
    """All bags in one process."""
    out = tmp_path_factory.mktemp("whole")
    assert main(command(bags, out)) == 0
    return out


def results(out: Path) -> str:
    return (out / "results.json").read_text()


def test_one_command_gives_one_page(whole: Path, bags, capsys):
    data = json.loads(results(whole))
    assert list(data["bags"]) == ["a/drive", "b/drive", "c"]
    assert [bag["frames"] for bag in data["bags"].values()] == [4, 3, 5]
    assert [bag["scored_frames"] for bag in data["bags"].values()] == [4, 0, 5]
    assert data["bags"]["b/drive"]["scores"]["miou"] is None
    assert data["scores"]["miou"]["low"] is None and data["intervals"] == "none: 3 bags, 6 are needed"
    assert data["run"]["backend"] == "onnxruntime" and data["run"]["threads"] == "1"
    for name in data["bags"]:
        summary = json.loads((whole / name / "summary.json").read_text())
        assert (whole / name / "contact_sheet.png").is_file()
        assert data["bags"][name]["scores"]["miou"] == (summary["miou"] and round(summary["miou"], 6))
        assert data["bags"][name]["scores"]["boundary_f1"] == pytest.approx(summary["boundary_f1"], abs=1e-6)
    assert main(command(bags, whole)) == 0  # again: nothing is evaluated twice
    said = capsys.readouterr().out
    assert said.count("done before") == 3 and "tiny_rgb_depth on 3 bags, 12 frames, 9 with truth" in said
    assert json.loads(results(whole)) == data


def test_outputs_that_are_wanted_later_are_made_later(bags, tmp_path: Path, capsys):
    for wanted, again in (("labels", 0), ("labels,costmap", 0), ("labels", 2)):
        options = "--write", wanted, "--condition", "/lights", "--condition", "start:0-0.15"
        assert main(command(bags[:2], tmp_path, *options)) == 0
        assert capsys.readouterr().out.count("done before") == again
    assert (tmp_path / "a/drive/drive.outputs.mcap").is_file()
    by = json.loads(results(tmp_path))["conditions"]
    frames = [
        by[name][value]["frames"] for name, value in (("/lights", "unknown"), ("time", "start"), ("light", "day"))
    ]
    assert frames == [7, 4, 7]


def test_shards_that_are_merged_say_the_same(whole: Path, bags, tmp_path: Path, capsys):
    for i in (1, 2):
        assert main(command(bags, tmp_path / str(i), "--shard", f"{i}/2")) == 0
    assert [len(json.loads(results(tmp_path / i))["bags"]) for i in "12"] == [2, 1]
    assert main(["results", "merge", str(tmp_path / "2"), str(tmp_path / "1"), "--out", str(tmp_path / "all")]) == 0
    assert results(tmp_path / "all") == results(whole)
    capsys.readouterr()
    assert main(command(bags, tmp_path / "4", "--shard", "4/4")) == 2
    assert "shard 4/4: 3 bags, expected at most as many parts" in capsys.readouterr().err
    assert main(command(bags, tmp_path / "1", "--set", "sync.slop_s=0.01")) == 2
    assert "is of another run: parameters" in capsys.readouterr().err
    assert main(command(bags, tmp_path / "1", "--topic", "labels=")) == 2
    assert "is of another run: topics" in capsys.readouterr().err
    assert main(command(bags[:2], tmp_path / "1")) == 2
    assert main(command(bags[:1], tmp_path / "all")) == 2
    said = capsys.readouterr().err
    assert "has results of bags that are not named here: c" in said or "no such" not in said
    assert "has the results of 3 bags, expected a folder for one" in said
    other = Job(MODEL, conditions=("/lights",))
    evaluate_many(bags[:2], other, tmp_path / "3")
    with pytest.raises(ValueError, match="is of another run: conditions"):
        merge([tmp_path / "1", tmp_path / "3"], tmp_path / "4")


def test_a_bag_that_cannot_be_used_costs_itself(whole: Path, bags, tmp_path: Path, capsys):
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(bags[2].read_bytes()[:-3000])
    copy = tmp_path / "c.mcap"
    assert main(command([bags[0], broken], tmp_path / "out")) == 2
    said, failed = capsys.readouterr()
    assert "broken: not used: " in said and "truncated or corrupt" in failed
    assert json.loads(results(tmp_path / "out"))["bags"]["drive"]["frames"] == 3
    broken.write_bytes(bags[2].read_bytes())  # mended
    assert main(command([bags[0], broken], tmp_path / "out")) == 0
    assert "drive: done before" in capsys.readouterr().out
    copy.write_bytes(broken.read_bytes())
    assert main(command([broken, copy], tmp_path / "twins")) == 2
    assert "bags broken and c have the same content: leave one out" in capsys.readouterr().err


def test_names_tell_bags_apart(bags, tmp_path: Path):
    assert list(bag_names(bags)) == ["a/drive", "b/drive", "c"]
    with pytest.raises(ValueError, match="named twice"):
        bag_names([bags[0], bags[0]])
    with pytest.raises(ValueError, match=r"gone\.mcap: no such file or folder"):
        bag_names([bags[0], tmp_path / "gone.mcap"])


@pytest.mark.parametrize("wrong", [["--shard", "0/2"], ["--shard", "3/2"], ["--workers", "0"]])
def test_wrong_parts_are_told(wrong, capsys):
    with pytest.raises(SystemExit):
        main(command([Path("x")], Path("y"), *wrong))
    assert "expected " in capsys.readouterr().err


@pytest.mark.slow
def test_two_workers_say_the_same_even_where_one_is_killed(whole: Path, bags, tmp_path: Path):
    killed = []

    def kill_one(lines: list[str]) -> None:
        if not killed and lines[-1].startswith("1/3"):
            killed.extend(multiprocessing.active_children()[:1])
            os.kill(killed[0].pid, signal.SIGKILL)

    assert main(command(bags, tmp_path / "two", "--workers", "2")) == 0
    assert results(tmp_path / "two") == results(whole)
    with Store(evaluate_many(bags, Job(MODEL), tmp_path / "killed", workers=2, say=kill_one)) as store:
        assert killed and json.loads(json.dumps(read_results(store).data)) == json.loads(results(whole))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(whole: Path, bags, tmp_path: Path, capsys):
    words = [sys.executable, "-u", "-m", "gemini_ros.cli", *command(bags, tmp_path / "out", "--workers", "2")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("1/3") for line in process.stdout)
        process.kill()
    with Store(tmp_path / "out" / STORE) as store:
        done = len(store.bags())
    assert done >= 1
    assert main(command(bags, tmp_path / "out")) == 0
    assert capsys.readouterr().out.count("done before") == done
    assert results(tmp_path / "out") == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_full_disk_costs_the_bag_in_hand(share: float, whole: Path, bags, tmp_path: Path, capsys):
    needed = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    with small_disk(tmp_path / "disk", int(share * needed) >> 10, int(share * needed) >> 2) as grow:
        out = tmp_path / "disk/out"
        assert main(command(bags, out)) == 2
        said, failed = capsys.readouterr()
        told = [line for line in said.splitlines() if line[:2] in ("1/", "2/", "3/")]
        assert str(out) in failed and "not used" not in said
        assert any(word in failed.lower() for word in ("no space left", "is full", "too large", "i/o error"))
        if (out / STORE).is_file():
            with Store(out / STORE) as store:
                assert len(store.bags()) == len(told)
            assert "evaluated and kept in" in failed and "the same command goes on from there" in failed
        grow()
        assert main(command(bags, out)) == 0
        assert capsys.readouterr().out.count("done before") == len(told)
        assert results(out) == results(whole)


@pytest.mark.slow
def test_compare_goes_on_after_a_kill_and_tells_a_bag_that_breaks_off(bags, tmp_path: Path, capsys):
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(bags[2].read_bytes()[:-3000])
    other = tmp_path / "other.onnx"
    other.write_bytes(MODEL.read_bytes())

    def words(out: str) -> list[str]:
        given = [*map(str, (bags[0], bags[1], broken)), "--out", str(tmp_path / out)]
        return ["compare", str(MODEL), str(other), "--bags", *given]

    run = [sys.executable, "-u", "-m", "gemini_ros.cli", *words("killed"), "--workers", "2"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("2/3") for line in process.stdout)
        process.kill()
    assert main(words("killed")) == 2  # for the broken bag
    again = capsys.readouterr().out
    assert "done before" in again and "not used: broken: " in again and "7 frames in both" in again
    assert main(words("one")) == 2
    assert (tmp_path / "killed/compare.json").read_bytes() == (tmp_path / "one/compare.json").read_bytes()
    assert main(["compare", str(MODEL), str(other), "--bags", str(broken), "--out", str(tmp_path / "none")]) == 2
    assert "no bag could be used, expected one at least: broken: " in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("rerun") is not None, reason="Rerun is installed here")
def test_a_viewer_that_is_not_installed_is_said_before_the_walk(tmp_path: Path, capsys):
    assert main(command([tmp_path / "none.mcap"], tmp_path / "out", "--rerun", "view.rrd")) == 2
    said = capsys.readouterr().err
    assert "--rerun: Rerun cannot be imported" in said and "pip install 'gemini_ros[rerun]', or leave" in said
    assert said.count("\n") == 1 and not (tmp_path / "out").exists()
