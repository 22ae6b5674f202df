"""Redaction: what the built-in patterns take for secrets and personal data, and what they leave alone."""

import json
import time
from collections import Counter

import pytest

from shipper.archive.codec import decode
from shipper.entry import CodeFrame, Failure
from shipper.model import Kind
from shipper.transform.built_in import IN_ORDER, built_in
from shipper.transform.redacting import Redactor
from shipper.transform.redaction import Redaction
from tests.fakes.pipelines import event, gap, logs, partition, passed, pipeline, texts

EVERYTHING = [{"patterns": list(IN_ORDER)}]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"


def redacted(name, line):
    """The line without what one pattern finds, its mark as `#`."""
    text = Redaction([built_in(name)]).line(line.encode(), Counter()).decode()
    return text.replace(f"[redacted:{name}]", "#")


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("Authorization: Bearer abc123def456ghi789", "Authorization: Bearer #"),
        ("authorization=bearer x", "authorization=bearer #"),
        ("-H 'Authorization: token ghp_16C7e42F292c6912E7'", "-H 'Authorization: token #'"),
        ("'Authorization': ['Basic dXNlcjpwYXNz'],", "'Authorization': ['Basic #'],"),
        ("proxy-authorization: Basic dXNlcjpwYXNz", "proxy-authorization: Basic #"),
        ("Authorization: 0a1b2c3d4e5f6071", "Authorization: #"),
        ('Authorization: Digest username="Mufasa", realm="a", response="6629fae4" x', "Authorization: Digest # x"),
        ("got Bearer 0a1b2c3d4e5f6071, thanks", "got Bearer #, thanks"),
        ("bearer mF_9.B5f-4.1JqM", "bearer #"),
        ("Basic dXNlcjpwYXNz given", "Basic # given"),
        ("x-api-key: 4f2c9a7b1d", "x-api-key: #"),
        ("?access_token=ya29.a0AfH6SMC1&x=1", "?access_token=#&x=1"),
        ('{"refreshToken":"1/mZ1edKKACtPAb7zGlwSzvs72"}', '{"refreshToken":"#"}'),
        ("CLIENT_SECRET=q8Q~kPz0w1", "CLIENT_SECRET=#"),
        (r'{\"Authorization\":\"Bearer abc123def456\"}', r'{\"Authorization\":\"Bearer #\"}'),
    ],
)  # fmt: skip
def test_tokens_are_taken_out_and_what_they_were_for_stays(line, clean):
    assert redacted("bearer_token", line) == clean


@pytest.mark.parametrize(
    "line",
    [
        "bearer authentication failed",
        "Basic authentication required",
        "authorization: failed for bob",
        "the token: expired",
        "api_key: required",
        "access_token=undefined",
        "basic configuration loaded",
        "primary key: id, foreign key: user_id",
    ],
)
def test_words_about_tokens_are_none(line):
    assert redacted("bearer_token", line) == line


@pytest.mark.parametrize(
    ("name", "line", "clean"),
    [
        ("jwt", f"token {JWT}.", "token #."),
        ("jwt", f"cookie: s={JWT}; path=/", "cookie: s=#; path=/"),
        ("jwt", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "#"),
        ("jwt", "eyJhbGciOiJkaXIifQ.eyJ.a.b", "eyJhbGciOiJkaXIifQ.eyJ.a.b"),
        ("jwt", "eyJ is how they begin", "eyJ is how they begin"),
        ("aws_key", f"id {KEY_ID} used", "id # used"),
        ("aws_key", f"aws_secret_access_key = {KEY}", "aws_secret_access_key = #"),
        ("aws_key", f'"SecretAccessKey": "{KEY}",', '"SecretAccessKey": "#",'),
        ("aws_key", f"<SecretAccessKey>{KEY[:-1]}/</SecretAccessKey>", "<SecretAccessKey>#</SecretAccessKey>"),
        ("aws_key", f"AWS_SESSION_TOKEN={'FwoGZXIvYXdzE' * 10}==", "AWS_SESSION_TOKEN=#"),
        ("aws_key", f"sha1 {'0123456789abcdef' * 2}01234567", f"sha1 {'0123456789abcdef' * 2}01234567"),
        ("aws_key", "XAKIAIOSFODNN7EXAMPLE", "XAKIAIOSFODNN7EXAMPLE"),
        ("url_password", "postgres://app:hunter2@db:5432/x", "postgres://app:#@db:5432/x"),
        ("url_password", "redis://:s3cret@cache/0", "redis://:#@cache/0"),
        ("url_password", "http://localhost:8080/a@b", "http://localhost:8080/a@b"),
        ("email", "mail bob@example.com now", "mail # now"),
        ("email", "<first.last+tag@mail.example.co.uk>", "<#>"),
        ("email", "josé@exämple.de", "#"),
        ("email", "请联系bob@example.com。", "请联系#。"),
        ("email", "user@host and @decorator and a@b", "user@host and @decorator and a@b"),
        ("ip", "from 10.0.0.1:443", "from #:443"),
        ("ip", "[2001:db8::8a2e:370:7334]:80 ::1 fe80::1.", "[#]:80 # #."),
        ("ip", "::ffff:192.0.2.1 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "# #"),
        ("ip", "at 12:34:56 version 1.2.3.4.5 256.1.1.1", "at 12:34:56 version 1.2.3.4.5 256.1.1.1"),
        ("ip", "std::vector a::b ::", "std::vector a::b ::"),
        ("ip", "mac aa:bb:cc:dd:ee:ff 1.2.3", "mac aa:bb:cc:dd:ee:ff 1.2.3"),
    ],
)  # fmt: skip
def test_pattern_finds_what_it_is_for_and_no_more(name, line, clean):
    assert redacted(name, line) == clean


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111", "4222222222222", "4000000000000000006", "5555555555554444", "2223003122003222",
        "378282246310005", "30569309025904", "6011111111111117", "3530111333300000", "6304000000000000",
        "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "3782-822463-10005", "2200000000000004",
    ],
)  # fmt: skip
def test_card_number_is_one_in_whichever_way_it_is_written(number):
    for line in ("{}", "card {}.", "pay={};", '"{}"', "x-{}", "{} 123", "{} 12/29", "2026 11 {}", "12 {}"):
        assert redacted("card_number", line.format(number)) == line.format("#")


@pytest.mark.parametrize(
    "line",
    [
        "4111111111111112",  # Luhn says no
        "1790000000000000 1790000000000 1790000000000000000",  # times
        "41111111111111111111",  # too long
        "411111111111",  # too short
        "0.4111111111111111",
        "blk_-4111111111111111",
        "id4111111111111111",
        "4111 1111-1111 1111",
        "4111  1111  1111  1111",
        "9111111111111111",
    ],
)
def test_number_that_is_no_card_stays(line):
    assert redacted("card_number", line) == line


# ---- lines that are JSON ----


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ('{"card": 4111111111111111, "n": [4111111111111111], "b": true}',
         {"card": "[redacted:card_number]", "n": ["[redacted:card_number]"], "b": True}),
        (r'{"mail":"a\u0040example.com"}', {"mail": "[redacted:email]"}),
        (r'{"m":"x\nAKIAIOSFODNN7EXAMPLE\ty"}', {"m": "x\n[redacted:aws_key]\ty"}),
        (r'{"u":"https:\/\/u:hunter2@h\/"}', {"u": "https://u:[redacted:url_password]@h/"}),
        (r'{"bob\u0040example.com":1,"ann@example.com":"\n"}', {"[redacted:email]": 1, "[redacted:email]_": "\n"}),
        (r'{"a":{"b":[{"c":"bob\u0040example.com"}]},"n":null}', {"a": {"b": [{"c": "[redacted:email]"}]}, "n": None}),
        ('  {"ip":"10.0.0.1"}', {"ip": "[redacted:ip]"}),
    ],
)  # fmt: skip
def test_object_stays_an_object_and_escapes_hide_nothing(line, clean):
    text = Redaction([built_in(name) for name in IN_ORDER]).line(line.encode(), Counter())
    assert json.loads(text) == clean


def test_object_with_nothing_to_take_out_keeps_its_very_form():
    line = rb'{ "a" : "\u00e9\n", "n": 1.50 }'
    assert Redaction([built_in("email")]).line(line, Counter()) == line


def test_object_that_is_nested_too_deeply_for_anybody_is_taken_out_whole():
    deep = b'{"a":' * 400 + rb'"bob\u0040example.com"' + b"}" * 400
    assert Redaction([built_in("email")]).line(deep, Counter()) == b'{"":"[redacted:email]"}'


def test_object_that_is_nested_deeper_than_people_read_is_read_as_text():
    deep = b'{"a":' * 80 + rb'"bob@example.com\n"' + b"}" * 80
    clean = Redaction([built_in("email")]).line(deep, Counter())
    assert clean == deep.replace(b"bob@example.com", b"[redacted:email]")


# ---- patterns of one's own ----


def own(*patterns, **rule):
    return [{"patterns": [], "custom": [{"name": n, "pattern": p} for n, p in patterns], **rule}]


def test_own_pattern_leaves_what_its_group_leaves_out():
    made = pipeline(redact=own(("password", r"password=(?P<secret>\S+)")))
    assert texts(made, "password=hunter2 x") == ["password=[redacted:password] x"]


def test_own_patterns_come_first():
    made = pipeline(redact=[{"custom": [{"name": "internal", "pattern": r"\S+@corp\.example"}]}])
    assert texts(made, "bob@corp.example ann@example.com") == ["[redacted:internal] [redacted:email]"]


def test_pattern_that_finds_marks_finds_none_of_ours():
    made = pipeline(redact=own(("word", "[a-z]+"), ("brackets", r"[\[\]]")))
    [text] = texts(made, "ab [12]")
    assert text == "[redacted:word] [redacted:brackets]12[redacted:brackets]"
    assert texts(made, text) == [text]


def test_what_one_pattern_leaves_for_another_is_taken_out_too():
    made = pipeline(redact=own(("digits", "^[0-9]+$"), ("x", "x")))
    assert texts(made, "12x34") == ["[redacted:digits][redacted:x][redacted:digits]"]


def test_mark_of_a_pattern_that_is_not_configured_is_text():
    assert texts(pipeline(redact=own(("a", "email"))), "[redacted:email]") == ["[redacted:[redacted:a]]"]


# ---- which sinks and apps ----


def test_entry_applies_to_its_sinks_and_apps():
    redact = [
        {"sinks": "debug", "app": "shop", "patterns": ["email"]},
        {"app": ["pay-*"], "patterns": ["ip"]},
    ]
    line = "bob@example.com 10.0.0.1"
    for sink, app, clean in (
        ("archive", "shop", line),
        ("debug", "shop", "[redacted:email] 10.0.0.1"),
        ("debug", "pay-api", "bob@example.com [redacted:ip]"),
        ("archive", "pay-api", "bob@example.com [redacted:ip]"),
    ):
        made = pipeline(sink, redact=redact)
        [entry], _ = passed(made, logs([line], app=app), app=app)
        assert entry.text == clean
        assert made.touches(partition(app=app)) == (clean != line)


def test_pipeline_of_a_sink_without_an_entry_rewrites_nothing():
    assert not pipeline("archive", redact=[{"sinks": "debug"}]).rewrites


# ---- every text of a record ----


def test_counts_are_by_pattern_and_by_what_was_taken_out():
    _, ending = passed(pipeline(redact=EVERYTHING), logs(["a@b.example c@d.example", "10.0.0.1", "nothing"]))
    assert dict(ending.redacted) == {"email": 2, "ip": 1}


def test_line_and_text_agree_and_nothing_else_of_the_record_changes():
    made = pipeline(redact=EVERYTHING)
    ndjson = logs(["a@b.example"], replica="10.0.0.1")
    [entry], _ = passed(made, ndjson)
    [record] = decode(ndjson)
    assert entry.record == {**record, "line": "[redacted:email]"}
    assert entry.text == "[redacted:email]"


def test_message_and_reason_of_events_and_detail_of_gaps_are_read():
    made = pipeline(redact=EVERYTHING)
    [entry], ending = passed(made, event(message="a@b.example", reason="a@b.example"), Kind.EVENTS)
    assert (entry.text, entry.record["message"], entry.record["reason"]) == ("[redacted:email]",) * 3
    assert ending.redacted == {"email": 2}
    [entry], _ = passed(made, gap("lost a@b.example"), Kind.GAPS)
    assert entry.record["detail"] == "lost [redacted:email]"


def test_bytes_that_are_not_unicode_are_redacted_and_the_rest_of_them_kept():
    made = pipeline(redact=EVERYTHING)
    entries, _ = passed(made, logs([b"\xff a@b.example \xfe", b"a@b.example", b"\xff\xfe"]))
    assert [entry.record["line"] for entry in entries] == [
        b"\xff [redacted:email] \xfe",
        "[redacted:email]",
        b"\xff\xfe",
    ]
    assert entries[0].text == "\ufffd [redacted:email] \ufffd"
    assert [record["line"] for record in decode(made.encode(entries))] == [
        entry.record["line"] for entry in entries
    ]


def test_bytes_that_become_unicode_by_it_are_a_plain_line():
    made = pipeline(redact=own(("raw", r"(?s)secret.*end")))
    [entry], _ = passed(made, logs(["a secret ü end b".encode()]))
    assert entry.record["line"] == "a [redacted:raw] b"


def test_fields_say_what_the_line_says_then():
    made = pipeline(read=[{}], redact=EVERYTHING)
    line = r'{"m":"a@b.example","x":"c\u0040d.example","n":4111111111111111,"k":"v"}'
    [entry], _ = passed(made, logs([line]))
    assert entry.fields is None  # an archive reads nothing
    sinks = {"search": {"type": "datadog", "api_key": "0" * 32}}
    [entry], _ = passed(pipeline("search", sinks, read=[{}], redact=EVERYTHING), logs([line]))
    assert entry.fields == {
        "m": "[redacted:email]",
        "x": "[redacted:email]",
        "n": "[redacted:card_number]",
        "k": "v",
    }
    assert json.loads(entry.text) == entry.fields


def test_fields_of_an_object_that_a_pattern_breaks_are_gone():
    sinks = {"search": {"type": "datadog", "api_key": "0" * 32}}
    made = pipeline("search", sinks, read=[{}], redact=own(("password", '"password": *"[^"]*"')))
    [entry], _ = passed(made, logs(['{"password":"hunter2","a":1}']))
    assert (entry.text, entry.fields) == ('{[redacted:password],"a":1}', None)


def entry_of(line, **more):
    [entry], _ = passed(pipeline(), logs([line]))
    for name, value in more.items():
        setattr(entry, name, value)
    return entry


def test_message_of_a_failure_is_redacted_even_where_it_was_cut_within_a_secret():
    redactor = Redactor(Redaction([built_in("jwt")]))
    message = "x" * 1_980 + " " + JWT
    entry = entry_of(
        f"Error: {message}\n  at f", failure=Failure("node", "Error", message[:2_000], (CodeFrame("f"),))
    )
    redactor.clean([entry])
    assert entry.failure.message == "x" * 1_980 + " [redacted:jwt]"
    short = entry_of("Error", failure=Failure("node", "Error", f"bad {JWT}"))
    redactor.clean([short])
    assert short.failure.message == "bad [redacted:jwt]"
    elsewhere = entry_of("{}", failure=Failure("node", "Error", message[:2_000]))
    redactor.clean([elsewhere])
    assert elsewhere.failure.message == "x" * 1_980


# ---- hostile ----

LONG = 1_000_000
HOSTILE = {
    "nothing": b"a" * LONG,
    "at signs": b"@" * LONG,
    "addresses that end nowhere": b"a@b." * (LONG // 4),
    "addresses": b"a@b.cd " * (LONG // 7),
    "cards that are none": b"4444 " * (LONG // 5),
    "digits": b"4" * LONG,
    "tokens that end nowhere": b"eyJ" * (LONG // 3),
    "words before tokens": b"bearer " * (LONG // 7),
    "parameters": b"authorization: digest " + b'a="b",' * (LONG // 6),
    "colons": b"a:" * (LONG // 2),
    "dots": b"1." * (LONG // 2),
    "schemes": b"://:" * (LONG // 4),
    "backslashes": b'{"' + b"\\\\" * (LONG // 2) + b'":1}',
    "braces": b"{" * LONG,
    "strings": b"{" + b'"\\u0040":"",' * (LONG // 12) + b'"":1}',
    "random": bytes(range(256)) * (LONG // 256),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_megabyte_of_anything_takes_its_time_in_proportion(text):
    redaction = Redaction([built_in(name) for name in IN_ORDER])
    began = time.process_time()
    clean = redaction.line(text, Counter())
    assert time.process_time() - began < 10
    del clean
