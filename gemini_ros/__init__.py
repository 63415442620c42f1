"""RGB plus depth or thermal semantic segmentation for ROS 2: two cameras in, labels and a costmap out.

These names are for your own programs. Each is imported from its room when you first use it, so ``import gemini_ros``
takes no time and needs neither torch nor rclpy; a name whose library is not installed raises ``ModuleNotFoundError``.

* A model on your own images: ``load_segmenter`` and ``find_model`` (a shipped model by its name), ``Frame`` with
  ``Intrinsics`` as what goes in, ``Segmentation`` as what comes out, ``Segmenter`` for annotations. ``ModelError`` and
  ``FrameError`` are what a bad file and a bad image raise.
* A recorded bag to labels and a map: ``BagReader``, ``BagRun`` with a ``Result`` for each frame, ``make_settings`` for
  ``Settings`` other than the node's defaults, ``load_label_set`` for a ``LabelSet`` of your own.
* Messages that belong together: ``MatchFilter`` on the ``Subscriber`` of each stream in your own node (needs rclpy),
  ``PairMatcher`` where there is no ROS; both give a ``Match``.
* Comparison: ``Job`` and ``evaluate_many`` for the results of each model, ``compare_results`` for the difference.
* Training: ``train`` with the words that follow ``gemini-ros train`` (needs torch).

``examples/`` has a program for each. Everything else in the package may change from one release to the next.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for type checkers
    from gemini_ros.bags.reader import BagReader as BagReader
    from gemini_ros.core.frames import Frame as Frame
    from gemini_ros.core.frames import FrameError as FrameError
    from gemini_ros.core.frames import Intrinsics as Intrinsics
    from gemini_ros.core.frames import Segmentation as Segmentation
    from gemini_ros.core.labels import LabelSet as LabelSet
    from gemini_ros.core.labels import load_label_set as load_label_set
    from gemini_ros.core.resources import find_model as find_model
    from gemini_ros.evaluation.compare import compare_results as compare_results
    from gemini_ros.evaluation.job import Job as Job
    from gemini_ros.evaluation.many import evaluate_many as evaluate_many
    from gemini_ros.inference import ModelError as ModelError
    from gemini_ros.inference import Segmenter as Segmenter
    from gemini_ros.inference import load_segmenter as load_segmenter
    from gemini_ros.nodes.match_filter import MatchFilter as MatchFilter
    from gemini_ros.nodes.match_filter import Subscriber as Subscriber
    from gemini_ros.pipeline.bag_walk import BagRun as BagRun
    from gemini_ros.pipeline.bag_walk import Result as Result
    from gemini_ros.pipeline.settings import Settings as Settings
    from gemini_ros.pipeline.settings import make_settings as make_settings
    from gemini_ros.pipeline.sync import Match as Match
    from gemini_ros.pipeline.sync import PairMatcher as PairMatcher
    from gemini_ros.training.fit import train as train

__version__ = "0.2.0"

_NAMES = {
    "bags.reader": ("BagReader",),
    "core.frames": ("Frame", "FrameError", "Intrinsics", "Segmentation"),
    "core.labels": ("LabelSet", "load_label_set"),
    "core.resources": ("find_model",),
    "evaluation.compare": ("compare_results",),
    "evaluation.job": ("Job",),
    "evaluation.many": ("evaluate_many",),
    "inference": ("ModelError", "Segmenter", "load_segmenter"),
    "nodes.match_filter": ("MatchFilter", "Subscriber"),
    "pipeline.bag_walk": ("BagRun", "Result"),
    "pipeline.settings": ("Settings", "make_settings"),
    "pipeline.sync": ("Match", "PairMatcher"),
    "training.fit": ("train",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The object of this name from its home; from then on it is an attribute like any other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
