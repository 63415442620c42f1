"""The film of the README: its drive at toy length, and that its captions and scores say what is so."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.core.resources import find_model
from gemini_ros.inference import load_segmenter

film = pytest.importorskip("gemini_ros.demo.film", reason="needs what the simulation renders with")
film_drive = pytest.importorskip("gemini_ros.demo.film_drive")
SCORES, Claims, caption_at, make_film = film.SCORES, film.Claims, film.caption_at, film.make_film
RATE_HZ, FilmDrive, Script, stage = film_drive.RATE_HZ, film_drive.FilmDrive, film_drive.Script, film_drive.stage

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "test/fixtures"
TOY = Script(seconds=4.5, knock_s=0.5, dusk_s=(0.6, 1.1), phrase_s=1.3, cable_s=2.0, person_m=4.0, seed=500)


@pytest.mark.slow
@pytest.mark.once
def test_robot_stops_when_its_map_turns_unknown():
    segmenter = load_segmenter(find_model("warehouse_rgbd_nano"), backend="onnxruntime", threads=1)
    with FilmDrive(TOY, segmenter, (240, 180)) as drive:
        moments = list(drive.moments())
    assert len(moments) == TOY.seconds * RATE_HZ
    driving, last = moments[round(TOY.cable_s * RATE_HZ) - 1], moments[-1]
    assert driving.mode == "normal" and driving.speed_m_s > 0.5
    assert driving.ours.shares.free > 0.7
    assert driving.depth is not None and driving.light == 0
    assert driving.knocked_deg == TOY.knock_deg
    assert last.mode == "degrade:depth" and last.depth is None
    assert (last.ours.occupancy.data == -1).all()
    assert last.ours.shares.unknown == 1
    assert last.speed_m_s == 0
    # The phrase has cells in the map once it is in force, and none before.
    assert moments[5].keepout is None
    assert any(moment.mask is not None and moment.mask.any() for moment in moments)
    assert driving.keepout is not None and (driving.keepout.data == TOY.cost).any()


@pytest.mark.slow
@pytest.mark.once
def test_film_shows_drive_and_scores(tmp_path):
    script = replace(TOY, seconds=0.6)
    broken = make_film(script, find_model("warehouse_rgbd_nano"), tmp_path / "f.mp4", tmp_path / "f.gif", size=(96, 72))
    assert broken == ["the drive ends before the lights are out at 1.1 s: make it longer"]
    capture = cv2.VideoCapture(str(tmp_path / "f.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6 + film.SCORES_S * RATE_HZ
    assert (tmp_path / "f.gif").stat().st_size < film.GIF_MAX_BYTES


def test_wrong_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"tiny_rgb\.onnx: takes rgb, expected one that takes rgb, depth"):
        make_film(TOY, MODELS / "tiny_rgb.onnx", tmp_path / "f.mp4")
    assert not (tmp_path / "f.mp4").exists()


def test_hall_without_a_rack_beside_the_way_is_refused():
    with pytest.raises(ValueError, match=r"seed 515: no rack with room for a person beside the way 4 m from its start"):
        stage(replace(TOY, seed=515))


def test_persons_stand_beside_the_way_and_the_first_of_them_by_a_rack():
    drive = stage(Script())
    racks = [print_ for print_ in drive.scene.footprints if print_.label == "rack"]
    paces, stands = (person for person in drive.people if person is not None)
    way = [drive.track.at(float(metres)) for metres in np.arange(0, 16, 0.1)]
    nearest = [min(rack.distance(person.x, person.y) for rack in racks) for person in (paces, stands)]
    assert nearest[0] <= 1.1 < 1.5 < nearest[1]
    for at_s in np.arange(0, 10, 0.5):
        for stand in (paces.stand(at_s), stands.stand(at_s)):
            assert min(np.hypot(stand.x - base.x, stand.y - base.y) for base in way) > 0.6


def test_scores_are_those_of_the_page_of_measurements():
    page = " ".join((ROOT / "docs/measured_map.md").read_text(encoding="utf-8").split())
    rgb, before, geometry = SCORES
    assert f"{film.ENCOUNTERS} encounters" in page
    assert f"fusion has {geometry.value:g} events more than geometry [{geometry.low}, {geometry.high}]" in page
    assert f"{-rgb.value:g} fewer than RGB [{-rgb.high}, {-rgb.low}]" in page
    assert f"{-before.value:g} fewer than before [{-before.high}, {-before.low}]" in page


def test_captions_come_in_their_time():
    script = Script()
    times = [0.0, script.knock_s, script.dusk_s[0], script.phrase_s, script.cable_s]
    titles = [caption_at(script, at_s)[0] for at_s in times]
    assert titles == [caption_at(script, at_s + 0.4)[0] for at_s in times]
    assert len(set(titles)) == len(times)
    assert script.phrase in titles[3] and "2 degrees" in titles[1]


def moment(seconds, *, lethal=0.9, free=0.9, unknown=0.0, cells=True, speed=0.7):
    shares = film_drive.Shares
    costly = film_drive.Occupancy(np.full((8, 8), 60 if cells else 0, np.int8), 0.05, (0.0, 0.0), 0)
    return film_drive.Moment(
        seconds,
        np.zeros((4, 4, 3), np.uint8),
        None,
        np.zeros((4, 4), np.uint8),
        "normal",
        film_drive.Drawn(costly, shares(free, 0.0, unknown)),
        film_drive.Drawn(costly, shares(0.0, lethal, 0.0)),
        (0.0, 0.0, 0.0),
        (np.zeros(2), np.zeros((2, 2))),
        speed,
        0.0,
        2.0,
        keepout=costly,
    )


@pytest.mark.parametrize(
    ("of_drive", "of_end", "said"),
    [
        ({}, {}, []),
        ({"lethal": 0.3}, {}, ["the plane calls lethal 30%"]),
        ({"free": 0.5}, {}, ["our map calls free 50%"]),
        ({"cells": False}, {}, ["puts its cost on 0 cells, expected 50"]),
        ({}, {"unknown": 0.75, "speed": 0.2}, ["without depth 25% of the floor stays known and the wheels read 0.20"]),
    ],
)
def test_what_the_drive_does_not_bear_out_is_said(of_drive, of_end, said):
    claims = Claims(Script())
    for seconds in (9.0, 10.0, 11.0):
        claims.take(moment(seconds, **of_drive))
    claims.take(moment(15.9, **({"unknown": 1.0, "speed": 0.0} | of_end)))
    found = claims.broken()
    assert len(found) == len(said)
    assert all(words in sentence for words, sentence in zip(said, found, strict=True))
