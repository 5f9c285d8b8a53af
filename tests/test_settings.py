"""Settings: every value has one source, every wrong one is refused by name."""

import pytest

from cryo2struct.errors import InputError, ResourceError, UsageError
from cryo2struct.settings import data_path, load_settings, parse_change


def test_changes_overrule_the_file_and_the_file_the_defaults(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("picking: {threshold: 0.7, separation: 2.5}\n")
    settings = load_settings(config, {"picking.threshold": 0.6})
    assert (settings.picking.threshold, settings.picking.separation) == (0.6, 2.5)
    assert settings.picking.radius == load_settings().picking.radius


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("picking.threshold", 2),
        ("picking.nonsense", 1),
        ("prediction.tile", 50),
        ("map.origin", "left"),
        ("map.mirror", "left"),
    ],
)
def test_wrong_values_are_refused_by_name(key, value):
    with pytest.raises(UsageError, match=key.split(".")[1]):
        load_settings(None, {key: value})


@pytest.mark.parametrize(("word", "read"), [("no", "no"), ("yes", "yes"), ("auto", "auto"), ("'yes'", "yes")])
def test_mirror_is_a_word_also_where_yaml_has_none(word, read):
    key, value = parse_change(f"map.mirror={word}")
    assert load_settings(None, {key: value}).map.mirror == read


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")
    for text in ("a: [", "just words"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match=r"bad\.yaml"):
            load_settings(tmp_path / "bad.yaml")


def test_change_on_the_command_line():
    assert parse_change("picking.threshold=0.5") == ("picking.threshold", 0.5)
    assert parse_change("map.resolution=null") == ("map.resolution", None)
    with pytest.raises(UsageError, match="key=value"):
        parse_change("picking.threshold")
    with pytest.raises(UsageError, match="no YAML"):
        parse_change("picking.threshold=[")
    with pytest.raises(UsageError, match="group"):
        load_settings(None, {"map": 3})


def test_data_comes_with_the_package():
    for name in ("weights", "configs", "examples"):
        assert data_path(name).is_dir()
    with pytest.raises(ResourceError, match="install the package again"):
        data_path("nothing")
