"""What is shown has no password, token or key in it, and is otherwise as it was."""

import pytest

from cifarray.redaction import has_password, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter22@mlflow:5000/x", "http://me:***@mlflow:5000/x"),
        ("http://me:hunt@r:22@mlflow:5000", "http://me:***@mlflow:5000"),
        ("https://a-token@mlflow", "https://***@mlflow"),
        ("postgresql+psycopg2://me:hunter22@db/mlflow", "postgresql+psycopg2://me:***@db/mlflow"),
        ("mysql://db/mlflow?user=me&password=hunter22&ssl=1", "mysql://db/mlflow?user=me&password=***&ssl=1"),
        ("request to http://me:hunter22@a/b failed, as me@b said", "request to http://me:***@a/b failed, as me@b said"),
        ("two: 'http://a:hunter22@b' \"http://c:hunter22@d\"", "two: 'http://a:***@b' \"http://c:***@d\""),
    ],
)
def test_passwords_are_taken_out_of_addresses(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/me/mlflow.db",
        "gs://anonymous@bucket/x",
        "s3://bucket/a@b:c",
        "http://127.0.0.1:5000/a?b=c@d",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text
    assert not has_password(text)


@pytest.mark.parametrize(
    "name", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
)
def test_keys_of_the_environment_are_taken_out_of_what_libraries_say(monkeypatch, name):
    # requests quotes the whole header of a token that was read with its newline.
    monkeypatch.setenv(name, "sesame-open\n")
    assert redact("header value: 'Bearer sesame-open\\n'") == "header value: 'Bearer ***\\n'"


def test_a_short_password_takes_no_words_apart(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a")
    assert redact("a bad gateway") == "a bad gateway"
