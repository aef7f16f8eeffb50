"""`tally.toml`: what is wrong with it is told by the name of the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import CONFIG_NAME, ConfigBroken, load_settings
from node.founding import encode_settings

SOUND = {"network": "catch.example", "member": "fishery", "endpoints": ["http://127.0.0.1:1"]}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"prot": 7450}, "no setting 'prot'; did you mean 'port'?"),
        ({"zzzzzz": 1}, "no setting 'zzzzzz'"),
        ({"port": "x"}, "port: "),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, more: dict[str, object], told: str) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(encode_settings(SOUND | more))
    with pytest.raises(ConfigBroken) as caught:
        load_settings(tmp_path)
    assert told in str(caught.value)
