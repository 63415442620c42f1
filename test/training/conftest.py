import pytest

pytest.importorskip("lightning", reason="training needs torch and Lightning")
