import pytest

pytest.importorskip("torch", reason="the network needs torch")
