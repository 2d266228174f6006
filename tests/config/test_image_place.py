"""Where images lie, as a setting says it."""

from pathlib import Path

import pytest

from config.image_place import S3Place, parse_image_place
from config.settings import SettingsError, load_control

SECRET = {"BYRE_SECRET_KEY": "k" * 32}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (".byre/images", Path(".byre/images")),
        ("/var/lib/images", Path("/var/lib/images")),
        ("file:///var/lib/images", Path("/var/lib/images")),
        ("s3://bucket", S3Place("bucket")),
        ("s3://bucket/", S3Place("bucket")),
        ("s3://bucket/a/b/", S3Place("bucket", "a/b")),
        (
            "s3://bucket/a?endpoint=https://s3.example:8443/&region=eu-1",
            S3Place("bucket", "a", "https://s3.example:8443", "eu-1", "path"),
        ),
        (
            "s3://bucket?endpoint=http://[::1]:80&addressing=virtual",
            S3Place("bucket", "", "http://[::1]:80", None, "virtual"),
        ),
    ],
)
def test_a_place_is_read(text: str, place: Path | S3Place) -> None:
    assert parse_image_place(text) == place
    assert load_control({**SECRET, "BYRE_IMAGE_STORE": text}).image_store == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a directory"),
        ("gs://bucket", "gs:// is not known"),
        ("s3://", "bucket's name"),
        ("s3:///prefix", "bucket's name"),
        ("s3://key:hush@bucket", "must not hold keys"),
        ("s3://bucket?endpoint=s3.example", "endpoint must be"),
        ("s3://bucket?endpoint=http://key:hush@s3.example", "endpoint must be"),
        ("s3://bucket?endpoint=http://s3.example/path", "endpoint must be"),
        ("s3://bucket?endpoint=http://s3.example:x", "endpoint must be"),
        ("s3://bucket?secret=hush", "secret is no option"),
        ("s3://bucket?region=a&region=b", "given twice"),
        ("s3://bucket?addressing=no", "addressing must be one of"),
        ("s3://bucket/a//b", "the prefix may have"),
        ("s3://bucket/a b", "the prefix may have"),
    ],
)
def test_a_wrong_place_is_refused_without_telling_what_it_held(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"image_store \(BYRE_IMAGE_STORE\)") as caught:
        load_control({**SECRET, "BYRE_IMAGE_STORE": text})

    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_one_key_alone_is_refused() -> None:
    with pytest.raises(SettingsError, match="go together"):
        load_control({**SECRET, "BYRE_IMAGE_STORE_ACCESS_KEY": "a"})


def test_keys_are_not_shown() -> None:
    keys = {"BYRE_IMAGE_STORE_ACCESS_KEY": "hush-a", "BYRE_IMAGE_STORE_SECRET_KEY": "hush-b"}

    settings = load_control({**SECRET, **keys})

    assert settings.image_store_secret_key is not None
    assert "hush" not in repr(settings) + str(settings.model_dump())


def test_a_place_says_where_it_is() -> None:
    place = S3Place("bucket", "a", "https://s3.example")

    assert str(place) == "s3://bucket/a at https://s3.example"
    assert place.key("one") == "a/one"
    assert S3Place("bucket").key("one") == "one"
