"""What a client wrote leaves without secrets and not too long, and costs by its length."""

from __future__ import annotations

import time

import pytest

from tcpwatch.emit import redaction

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        ("a=1&b=2", "a=1&b=2"),
        ("", ""),
        ("&&=&a", "&&=&a"),
        ("next=token&postcode=1&sort_key=name&monkey=2&pinned=1&error_code=5", None),
        ("q=a%26b%3Dc&mail=a%40b", None),
        ("a=1;token=b", "a=1;token=REDACTED"),
        ("token=a;b&c=1", "token=REDACTED&c=1"),
        ("code=a&key=b&otp=c", "code=REDACTED&key=REDACTED&otp=REDACTED"),
        ("user_pin=a&sid=b", "user_pin=REDACTED&sid=REDACTED"),
        ("ticket=a&hmac=b&csrfToken=c", "ticket=REDACTED&hmac=REDACTED&csrfToken=REDACTED"),
        ("SAMLResponse=a&code_verifier=b", "SAMLResponse=REDACTED&code_verifier=REDACTED"),
        ("%2570assword=a", "%2570assword=REDACTED"),
        ("key[]=a", "key[]=REDACTED"),
        ("PHPSESSID=a&bearer=b", "PHPSESSID=REDACTED&bearer=REDACTED"),
        ("a=1#access_token=b", "a=1#access_token=REDACTED"),
        ("password%3Db&c=1", "REDACTED&c=1"),
        ("next=/back?a=1,token=b", "next=/back?a=1,token=REDACTED"),
        ("next=http%3A%2F%2Fa%3Ftoken%3Db&c=1", "next=REDACTED&c=1"),
        ("next=%2Fa%3Fnext%3D%252Fb%253Ftoken%253Dc", "next=REDACTED"),
        ("next=http://user:b@c/", "next=http://REDACTED@c/"),
        ("next=http%3A%2F%2Fuser%3Ab%40c", "next=REDACTED"),
    ],
)
def test_a_query_keeps_its_names_and_loses_its_secrets(query: str, redacted: str | None) -> None:
    """Whatever the spelling, and in a URL that is itself a value; what is no secret stays."""
    found = redaction.redact(query)
    assert found == (query if redacted is None else redacted)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a;v=1/b", "/a;v=1/b"),
        ("/maps/@48.85,2.35", "/maps/@48.85,2.35"),
        ("*", "*"),
        (f"/a;password={SECRET}/b?c=1", "/a;password=REDACTED/b"),
        (f"/a;v=1;jsessionid={SECRET};w=2", "/a;v=1;jsessionid=REDACTED"),
        (f"/a;p%61ssword={SECRET}", "/a;p%61ssword=REDACTED"),
        (f"/a%3Bpassword={SECRET}/b", "/a%3Bpassword=REDACTED/b"),
        (f"/a#access_token={SECRET}", "/a#access_token=REDACTED"),
        (f"/to/http://user:{SECRET}@host/a", "/to/http://REDACTED@host/a"),
        (f"/to/http%3A%2F%2Fuser%3A{SECRET}%40host/a", "/to/REDACTED/a"),
        (f"http://user:{SECRET}@host/a;token={SECRET}", "/a;token=REDACTED"),
        (f"http://user:{SECRET}@host", "/"),
        (f"user:{SECRET}@host:443", "host:443"),
    ],
)
def test_a_path_loses_the_secrets_that_have_a_name(target: str, path: str) -> None:
    """Parameters, a fragment, and who logs in: in a target that is a URL or has one in its path."""
    found, _ = redaction.split_target(target)
    assert found == path


def test_a_target_has_an_end() -> None:
    """A client may send 64 kB; what leaves is bounded, and its secret is gone before it is cut."""
    path, query = redaction.split_target("/" + "a" * 60_000)
    assert (path, query) == ("/" + "a" * (redaction.LONGEST - 1), "")
    path, query = redaction.split_target("/a?token=" + SECRET * 9000 + "&b=1")
    assert (path, query) == ("/a", "token=REDACTED")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a=",
        "%",
        "//",
        "//a@",
        "key",
        "code[",
        "&",
        "%2561",
        "pass",
        "=",
        "/",
        "a=%&",
        ";,",
        "+",
    ],
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    """64 kB of anything are dealt with at once: whoever does it holds the GIL, and the server.

    A search that begins anew at each character takes seconds for it.
    """
    long = text * (65_000 // len(text))
    began = time.process_time()
    redaction.redact(long)
    redaction.redact_path(long)
    assert time.process_time() - began < 2
