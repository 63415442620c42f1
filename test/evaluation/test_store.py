"""The store of an evaluation: what it says of a small known world, that two runs say the same, and what it refuses."""

from __future__ import annotations

import json
import resource
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.core.lens import Lens
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.evaluation.flicker import View, flicker
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.evaluation.store import FORMAT, STORE, TABLES, TIMES, BagRecord, Store, write_store
from test.evaluation.drive import CAMERA, MOUNTING, START_NS, pose_at, view, write_drive

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
RUN = {"format": str(FORMAT), "model": "m"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A bag whose sixth depth image is cut off, evaluated."""
    folder = tmp_path_factory.mktemp("store")

    def cut(stream, i, message):
        if (stream, i) == ("depth", 5):
            message.data = message.data[:40]
        return message

    evaluate_bag(write_drive(folder / "d.mcap", tamper=cut), MODEL, folder / "out")
    return folder / "out"


def test_each_frame_is_in_the_store_with_what_the_summary_sums_up(out: Path):
    summary = json.loads((out / "summary.json").read_text())
    with Store(out / STORE) as store:
        frames = store.rows("frames", "frame, stamp_ns, mode, streams, distance_ns, map_known, map_frame")
        confusion = np.zeros((10, 11), np.int64)
        for truth, predicted, pixels in store.rows("confusion", "truth, predicted, pixels"):
            confusion[truth, min(predicted, 10)] += pixels
        assert ConfusionMatrix.from_counts(confusion).miou() == summary["miou"]
        pixels, right, claimed = np.array(store.rows("calibration", "pixels, right, confidence")).T
        bins = np.array(store.rows("calibration", "bin")).ravel()
        gaps = np.bincount(bins, right - claimed / 255)
        assert np.abs(gaps).sum() / pixels.sum() == pytest.approx(summary["calibration_error"])
        assert store.rows("drops", "frame, stream, cause, messages")[0][1:] == ("depth", "invalid", 1)
        dropped = sum(n for counts in summary["frames"].values() for n in counts["dropped"].values())
        assert sum(row[0] for row in store.rows("drops", "messages")) == dropped
        ((stored, sha256),) = store.rows("bags", "summary, sha256")
        assert json.loads(stored) == {k: v for k, v in summary.items() if not k.endswith("_ms")}
        assert sha256 == summary["bag_sha256"]
        assert store.rows("modes", "seconds, mode") == [(c["seconds"], c["mode"]) for c in summary["mode_changes"]]
        assert all(total > 0 for (total,) in store.rows("times", "total_ns"))
        assert len(store.rows("times")) == len(frames) == summary["inferences"] == 11
        by_stream = store.rows("images", "stream, distance_ns, valid, mean", where="frame = 0")
        (compared, changed), *_ = store.rows("frames", "flicker_compared, flicker_changed", where="frame = 3")
        conditions = store.rows("conditions", "name, value", where="frame = 0")
    assert [row[1] for row in frames] == [START_NS + i * 100_000_000 for i in range(12) if i != 5]
    assert {row[2:5] for row in frames} == {("normal", "rgb+depth", 2_000_000)}
    assert all(row[5] > 0 and row[6] == "odom" for row in frames)
    assert 0 <= changed < compared and compared > 100
    assert sorted(conditions) == [("light", "day"), ("streams", "rgb+depth")]
    depth, _ = view(pose_at(0.0))
    assert [row[:2] for row in by_stream] == [("depth", 2_000_000), ("rgb", 0)]
    assert by_stream[0][2] == pytest.approx(np.isfinite(depth).mean(), abs=0.01)
    assert by_stream[0][3] == pytest.approx(np.nanmean(depth), abs=0.05)


def test_all_but_the_times_is_equal_for_equal_input(out: Path):
    again = out.with_name("again")
    evaluate_bag(out.with_name("d.mcap"), MODEL, again)
    with Store(out / STORE) as first, Store(again / STORE) as second:
        assert first.run == second.run
        for table in set(TABLES) - set(TIMES):
            assert first.rows(table) == second.rows(table), table


def test_it_is_read_with_pandas(out: Path):
    pandas = pytest.importorskip("pandas")
    with closing(sqlite3.connect(out / STORE)) as connection:
        frames = pandas.read_sql("SELECT * FROM frames JOIN times USING (bag, frame)", connection)
        drops = pandas.read_sql("SELECT * FROM drops", connection)
    assert len(frames) == 11 and frames.distance_ns.dtype == np.int64 and (frames.total_ns > 0).all()
    assert drops.groupby("cause").messages.sum()["invalid"] == 1


def test_the_schema_in_the_docstring_is_that_of_the_file():
    from gemini_ros.evaluation import store

    for name, columns in TABLES.items():
        assert f"``{name}``" in (store.__doc__ or "")
        for column in {c.split()[0] for c in columns.split(", ")} - {"bag", "frame"}:
            assert f"``{column}``" in store.__doc__ or column.endswith("_ns"), column


def record(bag: str, frames: int) -> BagRecord:
    made = BagRecord(bag)
    made.add("bags", "aa", 0, 1, "{}", "{}", None)
    for i in range(frames):
        made.add("pixels", i, 3, 7)
    return made


def test_a_bag_goes_in_whole_or_not_at_all(tmp_path: Path):
    with Store(tmp_path / STORE, RUN) as store:
        store.add(record("a", 3))
        broken = record("b", 2)
        broken.add("pixels", 2, 3)  # a column short
        with pytest.raises(OSError, match=r"frames\.sqlite: table pixels has 4 columns but 3 values"):
            store.add(broken)
        store.add(record("a", 1))  # in the place of the first
    with Store(tmp_path / STORE, RUN) as store:
        assert store.bags() == {"a": ("aa", None)}
        assert store.rows("pixels") == [("a", 0, 3, 7)]
        assert store.record("a").rows["pixels"] == [(0, 3, 7)]


def test_a_full_disk_costs_the_bag_in_hand(tmp_path: Path):
    with Store(tmp_path / STORE, RUN) as store:
        store.add(record("a", 3))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / STORE).stat().st_size + 4096, hard))
        try:
            with pytest.raises(OSError, match=r"frames\.sqlite: .*disk"):
                store.add(record("b", 100_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Store(tmp_path / STORE, RUN) as store:
        assert list(store.bags()) == ["a"]
        store.add(record("b", 2))
        assert list(store.bags()) == ["a", "b"]


def test_two_writers_and_foreign_files_are_told(tmp_path: Path):
    with Store(tmp_path / STORE, RUN) as store, Store(tmp_path / STORE) as other:
        other._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="another run writes into this folder, give each shard a folder of its own"):
            store.add(record("a", 1))
    with pytest.raises(ValueError, match="is of another run: model m, here n: choose another folder"):
        Store(tmp_path / STORE, RUN | {"model": "n"})
    (tmp_path / "x.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="file is not a database, expected a store"):
        Store(tmp_path / "x.sqlite")
    with closing(sqlite3.connect(tmp_path / "y.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(ValueError, match="no such table: run, expected a store"):
        Store(tmp_path / "y.sqlite")
    with pytest.raises(ValueError, match="no such file"):
        Store(tmp_path / "none.sqlite")
    write_store(tmp_path / STORE, RUN, [record("b", 1)])
    with Store(tmp_path / STORE, RUN) as store:
        assert list(store.bags()) == ["b"]


def test_flicker_is_what_changes_on_the_same_surface():
    """The known world from two places: the same labels do not flicker, whatever moves in the image; others all do."""
    views = []
    for i, relabel in ((0, 0), (4, 0), (4, 1)):
        depth, labels = view(pose_at(i * 0.1))
        labels = np.where(labels == 255, 255, labels + relabel).astype(np.uint8)
        views.append(
            View(START_NS + i * 100_000_000, labels, depth, CAMERA, pose_at(i * 0.1) @ camera_in_base(MOUNTING))
        )
    compared, changed = flicker(views[0], views[1]) or (0, 0)
    assert compared > 150 and changed <= 0.02 * compared  # at the edge of the box
    assert (flicker(views[0], views[2]) or (0, 0))[1] >= 0.98 * compared
    assert flicker(views[0], replace(views[0], stamp_ns=START_NS + 10**9)) is None


@pytest.mark.parametrize("lens", [Lens("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0)), Lens("equidistant", (0.02,))])
def test_flicker_is_told_through_a_lens(lens: Lens):
    """A wall 2 m away with a stripe, from two places 0.2 m apart; read as a pinhole, the stripe's edges would move."""
    camera = replace(CAMERA, lens=lens)
    views = []
    for i, x in enumerate((0.0, 0.2, 0.2)):
        rays = pixel_rays(camera)
        labels = (np.abs(2 * rays[0] + x) < 0.7).astype(np.uint8) + (i == 2)
        pose = np.eye(4)
        pose[0, 3] = x
        depth = np.where(np.isnan(rays[0]), np.nan, np.float32(2.0)).astype(np.float32)
        views.append(View(START_NS + i * 100_000_000, labels.astype(np.uint8), depth, camera, pose))
    compared, changed = flicker(views[0], views[1]) or (0, 0)
    assert compared > 250 and changed <= 0.02 * compared
    compared, changed = flicker(views[0], replace(views[2], stamp_ns=views[1].stamp_ns)) or (0, 0)
    assert changed >= 0.98 * compared
