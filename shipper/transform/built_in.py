"""The built-in patterns: what secrets and personal data look like in log lines.

Where an expression alone would take ordinary words for secrets (`bearer authentication failed`), a judge decides.
The expressions look only a bounded distance beyond what they match, so finding every match stays linear.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from shipper.expression import Expression, Span
from shipper.transform.patterns import Judged, Pattern

# Quotes around keys and values, also as they stand in JSON that is text in JSON.
_QUOTE: Final = r"""(?:\\{0,3}["'])?"""
_BETWEEN: Final = rf"""{_QUOTE}\s{{0,4}}[:=]\s{{0,4}}\[?{_QUOTE}"""
_VALUE: Final = r"""[^\s"'\\,;&<>(){}\[\]]"""
_FIRST: Final = r"""[^\s"'\\,;&<>(){}\[\]:=]"""
_SCHEMES: Final = r"(?:bearer|basic|digest|negotiate|ntlm|token|api-?key|hawk|aws4-hmac-sha256)"
_PARAMETER: Final = r"""[A-Za-z0-9_-]+=(?:\\{0,3}"[^"\\]*\\{0,3}"|[^\s"'\\,]*)"""


def built_in(name: str) -> Pattern:
    """The built-in pattern of that name. Raises KeyError for another."""
    return _MAKERS[name]()


# ---- tokens ----


def _bearer_token() -> Pattern:
    """`Authorization` headers of any scheme, bearer and basic credentials, API keys and tokens by their name."""
    return Pattern(
        "bearer_token",
        (
            Judged(
                rf"(?i)\bauthorization{_BETWEEN}{_SCHEMES}\s{{1,8}}"
                rf"(?P<secret>{_PARAMETER}(?:,\s{{0,4}}{_PARAMETER})+|{_FIRST}{_VALUE}*)"
            ),
            Judged(rf"(?i)\bauthorization{_BETWEEN}(?P<secret>{_FIRST}{_VALUE}*)", _looks_random),
            Judged(r"(?i)\bbearer\s{1,8}(?P<secret>[A-Za-z0-9._~+/-]{8,}=*)", _looks_random),
            Judged(r"(?i)\bbasic\s{1,8}(?P<secret>[A-Za-z0-9+/]{6,}={0,2})", _is_basic),
            Judged(
                r"(?i)(?:api|access|refresh|auth|id|session|client)[-_]?(?:key|token|secret)"
                rf"{_BETWEEN}(?P<secret>{_FIRST}{_VALUE}{{7,}})",
                _looks_random,
            ),
        ),
        Expression(
            r"""(?i)authorization["'\\]*\s*[:=]|\b(?:bearer|basic)\s|(?:key|token|secret)["'\\]*\s{0,4}[:=]"""
        ),
    )


def _looks_random(text: bytes, span: Span) -> bool:
    """Words are no tokens: one has a digit, or is long and of both cases."""
    token = text[span[0] : span[1]]
    if len(token) < 8:
        return False
    return re.search(rb"[0-9]", token) is not None or (
        len(token) >= 20 and token != token.lower() and token != token.upper()
    )


def _is_basic(text: bytes, span: Span) -> bool:
    """Basic credentials are `user:password` in base64 (RFC 7617)."""
    token = text[span[0] : span[1]].rstrip(b"=")
    try:
        said = b64decode(token + b"=" * (-len(token) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in said and said.isascii() and said.decode().isprintable()


def _jwt() -> Pattern:
    """Three parts of base64url, the first a JSON object (RFC 7519), or five of an encrypted one (RFC 7516)."""
    part = r"[A-Za-z0-9_-]"
    source = rf"eyJ{part}{{8,}}\.{part}{{4,}}\.{part}*(?:\.{part}+){{0,2}}"
    return Pattern("jwt", (Judged(source),), Expression(source), (b"eyJ",))


def _aws_key() -> Pattern:
    """Access key ids by their prefix, and secrets and session tokens by the name before them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    identity = r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    between = rf"(?:{_BETWEEN}|\s{{1,4}}{_QUOTE}|>)"
    secret = (
        rf"(?i)secret[-_ ]?(?:access)?[-_ ]?key{between}(?P<secret>[A-Za-z0-9/+]{{40}})(?:[^A-Za-z0-9/+=]|$)"
    )
    session = rf"(?i)(?:session|security)[-_ ]?token{between}(?P<secret>[A-Za-z0-9/+=]{{100,}})"
    return Pattern(
        "aws_key",
        (Judged(identity), Judged(secret), Judged(session)),
        Expression(rf"{identity}|(?i:secret[-_ ]?(?:access)?[-_ ]?key|(?:session|security)[-_ ]?token)"),
    )


def _url_password() -> Pattern:
    """The password in `scheme://user:password@host`."""
    source = r"""://[^\s/@:"'<>?#\\]*:(?P<secret>[^\s/@"'<>\\]+)@"""
    return Pattern("url_password", (Judged(source),), Expression(source), (b"://",))


# ---- people ----

# Letters of the alphabets that stand in addresses: Latin with its accents, Greek, Cyrillic. Scripts that are written
# without spaces would make the words before an address a part of it.
_LETTER: Final = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}"


def _email() -> Pattern:
    source = rf"[{_LETTER}0-9._%+-]+@(?:[{_LETTER}0-9-]+\.)+[{_LETTER}]{{2,}}"
    return Pattern("email", (Judged(source),), Expression(source), (b"@",))


# Issuers' numbers and how long they are (https://en.wikipedia.org/wiki/Payment_card_number, "Issuer identification
# number"): Mir and Mastercard, Diners, JCB and American Express, Visa, Maestro and UnionPay and Discover. Numbers that
# begin with 1 are airlines' own, and times in milliseconds.
_ISSUED: Final = (
    r"(?:220[0-4][0-9]{12,15}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|3[0689][0-9]{12,17}|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"
    r"|4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|5[06-9][0-9]{11,17}|6[0-9]{12,18})"
)
_GROUPED: Final = (
    r"[2-6][0-9]{3}(?:[ -][0-9]{4}){2}[ -][0-9]{1,4}(?:[ -][0-9]{1,3})?|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}"
)
_CARD: Final = rf"\b(?:{_ISSUED}|{_GROUPED})\b"
_ISSUED_DIGITS: Final = re.compile(_ISSUED.encode())
_SEPARATORS: Final = re.compile(rb"[ -]")
_MOST_DOUBTS: Final = (
    20_000  # numbers of one text that were none; the rest is taken for cards without a closer look
)


class _Cards:
    """Card numbers: 13 to 19 digits of a known issuer, in one or in the groups that cards show, with Luhn's check
    digit (ISO/IEC 7812-1).
    """

    def __init__(self) -> None:
        self._expression = Expression(_CARD)

    def spans(self, text: bytes) -> Iterator[Span]:
        at, doubts = 0, 0
        while (found := self._expression.find(text, at)) is not None:
            begin, end = found
            stop = end if doubts > _MOST_DOUBTS else _card_end(text, begin, end)
            if stop is not None:
                yield begin, stop
                at = stop
            else:  # the number may begin at the next group
                separator = _SEPARATORS.search(text, begin, end)
                at = separator.end() if separator else end
                doubts += 1


def _in_a_number(text: bytes, begin: int) -> bool:
    """Whether what stands before makes it the digits of a fraction, or a number below zero."""
    before = text[max(0, begin - 2) : begin]
    return (before[-1:] == b"." and before[:1].isdigit()) or (
        before[-1:] == b"-" and not before[:-1].isalnum()
    )


def _card_end(text: bytes, begin: int, end: int) -> int | None:
    """Where the card number that begins here ends; the last group may be something else, such as its code."""
    if _in_a_number(text, begin):
        return None
    while True:
        digits = text[begin:end].translate(None, b" -")
        alike = len(set(text[begin:end]) & set(b" -")) <= 1
        if alike and _ISSUED_DIGITS.fullmatch(digits) and _passes_luhn(digits):
            return end
        cut = max(text.rfind(b" ", begin, end), text.rfind(b"-", begin, end))
        if cut < begin or len(digits) < 14:
            return None
        end = cut


_DOUBLED: Final = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))


def _passes_luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B."""
    values = [digit - 48 for digit in reversed(digits)]
    return (sum(values[0::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _card_number() -> Pattern:
    return Pattern("card_number", (_Cards(),), Expression(rf"(?:^|^\.|[^0-9A-Za-z_.]|[^0-9]\.){_CARD}"))


# ---- machines ----

_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"\b(?:{_BYTE}\.){{3}}{_BYTE}\b"
_IPV6: Final = r"(?i)(?:[0-9a-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f]{1,4})?"


def _ip() -> Pattern:
    """IPv4 and IPv6 addresses; not version numbers of more parts, and not times."""
    return Pattern(
        "ip",
        (_IPv6(), Judged(_IPV4, _stands_alone)),
        Expression(rf"{_IPV4}|::|(?i:(?:[0-9a-f]{{1,4}}:){{7}}|(?:[0-9a-f]{{1,4}}:){{6}}[0-9])"),
    )


class _IPv6:
    """IPv6 addresses. Times have colons too, so most lines are let go before the expression sees them."""

    def __init__(self) -> None:
        self._judged = Judged(_IPV6, _is_ipv6)

    def spans(self, text: bytes) -> Iterator[Span]:
        return self._judged.spans(text) if b"::" in text or text.count(b":") > 5 else iter(())


def _stands_alone(text: bytes, span: Span) -> bool:
    before, after = text[max(0, span[0] - 1) : span[0]], text[span[1] : span[1] + 2]
    return before != b"." and not (after[:1] == b"." and after[1:].isdigit())


def _is_ipv6(text: bytes, span: Span) -> bool:
    around = text[max(0, span[0] - 1) : span[0]] + text[span[1] : span[1] + 1]
    address = text[span[0] : span[1]]
    if re.search(rb"[0-9A-Za-z_:.]", around.rstrip(b".")) or not re.search(rb"[0-9]", address):
        return False
    try:
        IPv6Address(address.decode())
    except AddressValueError:
        return False
    return True


_MAKERS: Final[Mapping[str, Callable[[], Pattern]]] = {
    "jwt": _jwt,
    "aws_key": _aws_key,
    "bearer_token": _bearer_token,
    "url_password": _url_password,
    "email": _email,
    "card_number": _card_number,
    "ip": _ip,
}

IN_ORDER: Final = tuple(_MAKERS)
"""The order in which they are applied: the more a pattern says, the earlier."""
