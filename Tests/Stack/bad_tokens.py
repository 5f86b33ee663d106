"""Tokens that no server may take, made piece by piece, with what the operator's log has to say of each.

PyJWT refuses to make most of them. Whatever can be is signed rightly: then nothing but the fault itself is
there to be refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import NamedTuple

from access import Project

HEADER = '{"alg":"HS256","typ":"JWT"}'
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Make = Callable[[Project], str]


class Bad(NamedTuple):
    """A token, and a pattern of the reason in the log."""

    make: Make
    reason: str


def base64url(data: bytes | str) -> str:
    """Canonical and without padding."""
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(start: str, secret: str, digest: str = "sha256") -> str:
    """`start` is header and claims as they are sent; the signature is right for exactly that spelling."""
    return f"{start}.{base64url(hmac.new(secret.encode(), start.encode('latin-1'), getattr(hashlib, digest)).digest())}"


def raw(project: Project, payload: bytes | str, header: bytes | str = HEADER, secret: str | None = None) -> str:
    """A token of any bytes, rightly signed."""
    return sign(f"{base64url(header)}.{base64url(payload)}", secret or project.secret)


def rest(project: Project, *without: str) -> str:
    """The members of a good token as JSON text without braces, some left out, to which others are added."""
    claims = {name: value for name, value in project.claims("manage").items() if name not in without}
    return json.dumps(claims)[1:-1]


def member(name: str, text: str) -> Make:
    """A good token in which the JSON text of one claim is this."""
    return lambda project: raw(project, "{%s,%s:%s}" % (rest(project, name), json.dumps(name), text))


def without(name: str) -> Make:
    return lambda project: raw(project, "{%s}" % rest(project, name))


def added(text: str) -> Make:
    """A good token with more text among its claims."""
    return lambda project: raw(project, "{%s,%s}" % (rest(project), text.replace("NAME", project.name)))


def payload(content: bytes | str) -> Make:
    return lambda project: raw(project, content)


def head(text: str | bytes) -> Make:
    """A good token with this header, and a signature by HS256."""
    return lambda project: raw(project, "{%s}" % rest(project), text)


def parts(project: Project) -> list[str]:
    return project.token("manage").split(".")


def changed(*order: str) -> Make:
    """The parts of a good token put together otherwise; what is no number stands for itself."""

    def make(project: Project) -> str:
        good = parts(project)
        return ".".join(good[int(piece)] if piece.isdigit() else piece for piece in order)

    return make


def unsigned(alg: str) -> Make:
    return lambda project: f"{base64url(json.dumps({'alg': alg, 'typ': 'JWT'}))}.{parts(project)[1]}."


def other_digest(alg: str, digest: str) -> Make:
    """Rightly signed by another algorithm of the same family."""
    return lambda project: sign(f"{base64url(json.dumps({'alg': alg}))}.{parts(project)[1]}", project.secret, digest)


def keyed(key: Callable[[str], str]) -> Make:
    """Signed by what is nearly the secret."""
    return lambda project: project.token("manage", secret=key(project.secret))


def sibling(text: str) -> str:
    """The same bytes for a careless decoder: unused bits of the last character are not zero."""
    assert len(text) % 4 in (2, 3)
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) ^ 1]


def spelled(change: Callable[[str], str], part: int) -> Make:
    """Another spelling of one part, under a signature that is right for that spelling."""

    def make(project: Project) -> str:
        header, claims = HEADER, "{%s}" % rest(project)
        # A length that leaves bits unused, and so room for padding.
        texts = [base64url(text + " " * (-len(text) % 3 + 1)) for text in (header, claims)]
        if part < 2:
            texts[part] = change(texts[part])
            return sign(".".join(texts), project.secret)
        start, signature = sign(".".join(texts), project.secret).rsplit(".", 1)
        return f"{start}.{change(signature)}"

    return make


def standard_alphabet(project: Project) -> str:
    """Claims whose base64 has the two characters that differ, in the standard's spelling."""
    text = base64url("{%s,%s}" % (rest(project), '"x":"???>>>~~~ÿÿ ???>>>"'))
    assert "-" in text or "_" in text
    return sign(f"{base64url(HEADER)}.{text.translate(str.maketrans('-_', '+/'))}", project.secret)


def flipped(project: Project) -> str:
    token = project.token("manage")
    return token[:-10] + ALPHABET[ALPHABET.index(token[-10]) ^ 32] + token[-9:]


def hexadecimal(project: Project) -> str:
    start = ".".join(parts(project)[:2])
    return f"{start}.{hmac.new(project.secret.encode(), start.encode(), hashlib.sha256).hexdigest()}"


def now(seconds: float) -> Callable[[], str]:
    return lambda: json.dumps(time.time() + seconds)


def timed(name: str, text: Callable[[], str]) -> Make:
    """A claim whose value is looked at when the token is made."""
    return lambda project: member(name, text())(project)


FORM = "part|form|dot|base64|truncat|malformed"
JSON = "JSON|UTF-8|object|base64|malformed"
ALG = "alg|HS256"
SIGNATURE = "signature"
EXP, NBF, IAT, SUB, SCOPE, STREAM = "exp", "nbf|not.*before|not.*yet", "iat|issued", "sub", "scope", "stream_id"
TWICE = "twice|duplicate|more than once|repeated"
BASE64 = "base64|form|malformed|padding"
# Without a dot anywhere, or otherwise so far from a token that any word of its form will do.
ANY = "."

BAD: dict[str, Bad] = {
    # Its form.
    "truncated-by-one": Bad(lambda p: p.token("manage")[:-1], f"{SIGNATURE}|{BASE64}"),
    "truncated-signature": Bad(lambda p: p.token("manage")[:-20], f"{SIGNATURE}|{BASE64}"),
    "truncated-to-half": Bad(lambda p: (token := p.token("manage"))[: len(token) // 2], FORM),
    "truncated-claims": Bad(lambda p: ".".join([(good := parts(p))[0], good[1][:-8], good[2]]), f"{SIGNATURE}|{JSON}"),
    "one-part": Bad(changed("0"), FORM),
    "two-parts": Bad(changed("0", "1"), FORM),
    "four-parts": Bad(changed("0", "1", "2", "2"), FORM),
    "five-parts": Bad(changed("0", "1", "2", "0", "1"), FORM),
    "dot-last": Bad(changed("0", "1", "2", ""), FORM),
    "dot-first": Bad(changed("", "0", "1", "2"), FORM),
    "dots-only": Bad(changed("", "", ""), ANY),
    "no-header": Bad(changed("", "1", "2"), ANY),
    "no-claims": Bad(changed("0", "", "2"), ANY),
    "no-signature": Bad(changed("0", "1", ""), f"{SIGNATURE}|{FORM}"),
    "parts-swapped": Bad(changed("1", "0", "2"), ANY),
    "word": Bad(lambda _: "secret-looking-opaque-word", ANY),
    "the-secret-itself": Bad(lambda p: p.secret, ANY),
    # Its spelling.
    "padded-header": Bad(spelled(lambda text: text + "=" * (-len(text) % 4), 0), BASE64),
    "padded-claims": Bad(spelled(lambda text: text + "=" * (-len(text) % 4), 1), BASE64),
    "padded-signature": Bad(spelled(lambda text: text + "=", 2), f"{BASE64}|{SIGNATURE}"),
    "unused-bits-header": Bad(spelled(sibling, 0), BASE64),
    "unused-bits-claims": Bad(spelled(sibling, 1), BASE64),
    "unused-bits-signature": Bad(spelled(sibling, 2), f"{BASE64}|{SIGNATURE}"),
    "standard-alphabet": Bad(standard_alphabet, BASE64),
    "foreign-character": Bad(spelled(lambda text: text[:8] + "*" + text[8:], 1), BASE64),
    "escaped": Bad(spelled(lambda text: f"%{ord(text[0]):02X}" + text[1:], 1), BASE64),
    "length-of-no-base64": Bad(spelled(lambda text: text + "AAA", 1), f"{BASE64}|{JSON}"),
    # Its algorithm.
    "alg-none": Bad(unsigned("none"), f"{ALG}|{SIGNATURE}"),
    "alg-None": Bad(unsigned("None"), f"{ALG}|{SIGNATURE}"),
    "alg-nOnE": Bad(unsigned("nOnE"), f"{ALG}|{SIGNATURE}"),
    "alg-none-signed": Bad(head('{"alg":"none"}'), ALG),
    "alg-hs256-unsigned": Bad(unsigned("HS256"), f"{SIGNATURE}|{FORM}"),
    "alg-hs384": Bad(other_digest("HS384", "sha384"), ALG),
    "alg-hs512": Bad(other_digest("HS512", "sha512"), ALG),
    "alg-hs512-by-256": Bad(head('{"alg":"HS512"}'), ALG),
    "alg-hs256-by-512": Bad(other_digest("HS256", "sha512"), SIGNATURE),
    "alg-rs256": Bad(head('{"alg":"RS256"}'), ALG),
    "alg-lower-case": Bad(head('{"alg":"hs256"}'), ALG),
    "alg-missing": Bad(head('{"typ":"JWT"}'), ALG),
    "alg-null": Bad(head('{"alg":null}'), ALG),
    "alg-number": Bad(head('{"alg":256}'), ALG),
    "alg-list": Bad(head('{"alg":["HS256"]}'), ALG),
    "alg-with-space": Bad(head('{"alg":"HS256 "}'), ALG),
    "alg-with-nul": Bad(head('{"alg":"HS256\\u0000"}'), ALG),
    # Its header.
    "crit": Bad(head('{"alg":"HS256","crit":["exp"]}'), "crit"),
    "crit-empty": Bad(head('{"alg":"HS256","crit":[]}'), "crit"),
    "crit-null": Bad(head('{"alg":"HS256","crit":null}'), "crit"),
    "crit-b64": Bad(head('{"alg":"HS256","crit":["b64"],"b64":true}'), "crit"),
    "header-not-json": Bad(head("HS256"), JSON),
    "header-list": Bad(head('["HS256"]'), JSON),
    "header-string": Bad(head('"HS256"'), JSON),
    "header-null": Bad(head("null"), JSON),
    "header-empty-object": Bad(head("{}"), ALG),
    "header-cut": Bad(head('{"alg":"HS256"'), JSON),
    "header-alg-twice": Bad(head('{"alg":"HS256","alg":"HS256"}'), TWICE),
    "header-alg-none-then-hs256": Bad(head('{"alg":"none","alg":"HS256"}'), TWICE),
    "header-kid-twice": Bad(head('{"alg":"HS256","kid":"1","kid":"1"}'), TWICE),
    "header-alg-twice-escaped": Bad(head('{"alg":"HS256","\\u0061lg":"HS256"}'), TWICE),
    # Its signature.
    "signature-flipped": Bad(flipped, SIGNATURE),
    "signature-of-another": Bad(lambda p: ".".join([*parts(p)[:2], p.token("read").split(".")[2]]), SIGNATURE),
    "secret-unknown": Bad(keyed(lambda secret: "dss_" + "A" * (len(secret) - 4)), SIGNATURE),
    "secret-without-prefix": Bad(keyed(lambda secret: secret.removeprefix("dss_")), SIGNATURE),
    "secret-with-line-feed": Bad(keyed(lambda secret: secret + "\n"), SIGNATURE),
    "secret-cut": Bad(keyed(lambda secret: secret[:-1]), SIGNATURE),
    "secret-empty": Bad(lambda p: sign(".".join(parts(p)[:2]), ""), SIGNATURE),
    "signature-hexadecimal": Bad(hexadecimal, SIGNATURE),
    # Its claims as a document.
    "claims-not-json": Bad(payload("sub=p&scope=manage"), JSON),
    "claims-empty-text": Bad(payload(" "), JSON),
    "claims-list": Bad(payload("[]"), JSON),
    "claims-null": Bad(payload("null"), JSON),
    "claims-number": Bad(payload("1"), JSON),
    "claims-empty-object": Bad(payload("{}"), ANY),
    "claims-cut": Bad(lambda p: raw(p, "{%s" % rest(p)), JSON),
    "claims-and-more": Bad(lambda p: raw(p, "{%s}{}" % rest(p)), JSON),
    "claims-and-nul": Bad(lambda p: raw(p, "{%s}\0" % rest(p)), JSON),
    "claims-comma-last": Bad(lambda p: raw(p, "{%s,}" % rest(p)), JSON),
    "claims-single-quotes": Bad(lambda p: raw(p, ("{%s}" % rest(p)).replace('"', "'")), JSON),
    "claims-with-comment": Bad(lambda p: raw(p, "{%s/* */}" % rest(p)), JSON),
    "claims-byte-order-mark": Bad(lambda p: raw(p, b"\xef\xbb\xbf" + ("{%s}" % rest(p)).encode()), JSON),
    "claims-utf-16": Bad(lambda p: raw(p, ("{%s}" % rest(p)).encode("utf-16")), JSON),
    "claims-not-utf-8": Bad(lambda p: raw(p, ('{%s,"x":"' % rest(p)).encode() + b'\xff"}'), JSON),
    "claims-deep": Bad(lambda p: raw(p, '{%s,"x":%s}' % (rest(p), "[" * 3000)), f"{JSON}|deep"),
    "claims-line-feed-in-string": Bad(added('"x":"a\nb"'), JSON),
    # exp.
    "exp-missing": Bad(without("exp"), EXP),
    "exp-null": Bad(member("exp", "null"), EXP),
    "exp-string": Bad(member("exp", '"9999999999"'), EXP),
    "exp-date": Bad(member("exp", '"2099-01-01T00:00:00Z"'), EXP),
    "exp-true": Bad(member("exp", "true"), EXP),
    "exp-list": Bad(member("exp", "[9999999999]"), EXP),
    "exp-object": Bad(member("exp", "{}"), EXP),
    "exp-nan": Bad(member("exp", "NaN"), f"{EXP}|{JSON}"),
    "exp-infinity": Bad(member("exp", "Infinity"), f"{EXP}|{JSON}"),
    "exp-zero": Bad(member("exp", "0"), EXP),
    "exp-negative": Bad(member("exp", "-9999999999"), EXP),
    "exp-now": Bad(timed("exp", lambda: str(int(time.time()))), EXP),
    "exp-a-moment-ago": Bad(timed("exp", now(-0.05)), EXP),
    "exp-past": Bad(timed("exp", now(-30)), EXP),
    "exp-long-past": Bad(member("exp", "1000000000"), EXP),
    "exp-very-far-past": Bad(member("exp", "-1e300"), EXP),
    # nbf and iat: 60 s of leeway, and not more.
    "nbf-future": Bad(timed("nbf", now(90)), NBF),
    "nbf-far-future": Bad(member("nbf", "1e300"), NBF),
    "nbf-string": Bad(member("nbf", '"0"'), NBF),
    "nbf-null": Bad(member("nbf", "null"), NBF),
    "nbf-false": Bad(member("nbf", "false"), NBF),
    "iat-future": Bad(timed("iat", now(90)), IAT),
    "iat-far-future": Bad(member("iat", "9999999999999"), IAT),
    "iat-string": Bad(member("iat", '"0"'), IAT),
    "iat-list": Bad(member("iat", "[0]"), IAT),
    # sub.
    "sub-missing": Bad(without("sub"), SUB),
    "sub-other": Bad(member("sub", '"other"'), SUB),
    "sub-default": Bad(member("sub", '"_default"'), SUB),
    "sub-empty": Bad(member("sub", '""'), SUB),
    "sub-star": Bad(member("sub", '"*"'), SUB),
    "sub-null": Bad(member("sub", "null"), SUB),
    "sub-number": Bad(member("sub", "1"), SUB),
    "sub-list": Bad(lambda p: member("sub", json.dumps([p.name]))(p), SUB),
    "sub-longer": Bad(lambda p: member("sub", json.dumps(p.name + "x"))(p), SUB),
    "sub-shorter": Bad(lambda p: member("sub", json.dumps(p.name[:-1]))(p), SUB),
    "sub-upper-case": Bad(lambda p: member("sub", json.dumps(p.name.upper()))(p), SUB),
    "sub-with-space": Bad(lambda p: member("sub", json.dumps(p.name + " "))(p), SUB),
    "sub-with-nul": Bad(lambda p: member("sub", json.dumps(p.name + "\0"))(p), SUB),
    "sub-escaped": Bad(lambda p: member("sub", json.dumps(f"%{ord(p.name[0]):02X}{p.name[1:]}"))(p), SUB),
    # scope and stream_id of a wrong type.
    "scope-list": Bad(member("scope", '["manage"]'), SCOPE),
    "scope-object": Bad(member("scope", '{"manage":true}'), SCOPE),
    "scope-number": Bad(member("scope", "7"), SCOPE),
    "scope-true": Bad(member("scope", "true"), SCOPE),
    "scope-null": Bad(member("scope", "null"), SCOPE),
    "stream-id-number": Bad(member("stream_id", "1"), STREAM),
    "stream-id-list": Bad(member("stream_id", '["a/b"]'), STREAM),
    "stream-id-null": Bad(member("stream_id", "null"), STREAM),
    "stream-id-false": Bad(member("stream_id", "false"), STREAM),
    # A member given twice.
    "sub-twice": Bad(added('"sub":"NAME"'), TWICE),
    "exp-twice": Bad(added('"exp":9999999999'), TWICE),
    "scope-twice": Bad(added('"scope":"read"'), TWICE),
    "unknown-twice": Bad(added('"x":1,"x":1'), TWICE),
    "sub-twice-escaped": Bad(added('"\\u0073ub":"NAME"'), TWICE),
    "stream-id-twice": Bad(added('"stream_id":"a","stream_id":"*"'), TWICE),
}
