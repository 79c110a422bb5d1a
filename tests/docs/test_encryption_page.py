"""The page about encryption: its settings are settings, and what it says is encrypted is."""

import base64
import re
from pathlib import Path

from stepwell.config import load_settings
from stepwell.vault.ring import open_ring

PAGE = (Path(__file__).parents[2] / "docs" / "encryption.md").read_text()


def test_the_settings_of_the_page_open_a_ring(tmp_path: Path) -> None:
    [settings] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "config.toml").write_text(settings)
    loaded = load_settings(tmp_path, {}, {}).encryption
    [reference] = loaded.keys.values()
    environ = {reference.removeprefix("env:"): base64.b64encode(bytes(32)).decode()}
    assert open_ring(loaded, environ, home=tmp_path).active == loaded.active
    assert loaded.subject_label == "subject"


def test_the_page_names_every_setting_of_encryption() -> None:
    fields = load_settings(Path("/nowhere")).encryption.__struct_fields__
    assert [name for name in fields if not re.search(rf"\b{name}\b", PAGE)] == []
