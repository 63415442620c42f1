"""The cost of phrases, measured on a small model and the same one without a branch."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("torch")

from benchmarks import language_cost
from test.network.phrase_models import write


@pytest.mark.slow
def test_phrases_are_timed_beside_the_plain_model(tmp_path, monkeypatch, capsys) -> None:
    model, plain = write(tmp_path), write(tmp_path, language=False)
    out = tmp_path / "cost.json"
    words = ["language_cost", str(model), "--plain", str(plain), "--size", "176x128", "--frames", "2"]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(out)])
    language_cost.main()
    found = json.loads(out.read_text())
    assert list(found["milliseconds"]) == [language_cost.PLAIN, "no phrase", "phrases: 1", "phrases: 4"]
    assert found["times_plain"][language_cost.PLAIN] == 1
    # The branch costs time where a phrase is in force, and bytes always.
    assert found["milliseconds"]["phrases: 4"] > found["milliseconds"][language_cost.PLAIN]
    assert found["bytes"]["model"] > found["bytes"][language_cost.PLAIN]
    assert found["peak_mb"]["model"] > 20
    assert "peak memory" in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", ["language_cost", str(plain)])
    with pytest.raises(SystemExit):
        language_cost.main()
    assert "takes no phrases" in capsys.readouterr().err
