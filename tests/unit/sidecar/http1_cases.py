"""Requests of HTTP/1 as no client library writes them, byte by byte: what is refused, and what is one request for everybody."""

from __future__ import annotations

HOST = b"host: model\r\n"
POST_HEAD = b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"content-type: application/json\r\n"
SMUGGLED = b"GET /v1/models?smuggled HTTP/1.1\r\nhost: model\r\n\r\n"
CHUNKED = POST_HEAD + b"transfer-encoding: chunked\r\n\r\n"
EMPTY_CHUNKS = b"0\r\n\r\n" + SMUGGLED


def posted(*fields: bytes, body: bytes = b"") -> bytes:
    return POST_HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def got(*fields: bytes, line: bytes = b"GET /v1/models HTTP/1.1", host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


# Each could be read as one request by one reader and as two by another.
REFUSED = {
    # Both a length and chunks (CL.TE, TE.CL), also where one of them is written so that some readers pass over it.
    "a length and chunks": posted(b"content-length: 6", b"transfer-encoding: chunked", body=EMPTY_CHUNKS),
    "chunks and a length": posted(
        b"transfer-encoding: chunked", b"content-length: 4", body=b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"
    ),
    "a length, and chunks on a folded line": posted(b"content-length: 5", b"transfer-encoding:\r\n chunked", body=EMPTY_CHUNKS),
    "a length, and chunks behind a line feed": posted(
        b"x: a\ntransfer-encoding: chunked", b"content-length: 5", body=EMPTY_CHUNKS
    ),
    "a length, and chunks behind a carriage return": posted(
        b"content-length: 2\rtransfer-encoding: chunked", body=b"{}" + SMUGGLED
    ),
    "chunks by a name with an underscore": posted(b"transfer_encoding: chunked", b"content-length: 5", body=EMPTY_CHUNKS),
    "a length by a name with an underscore": posted(b"content_length: 5", body=EMPTY_CHUNKS),
    # Chunks that are none for somebody (TE.TE).
    "a space before the colon of transfer-encoding": posted(b"transfer-encoding : chunked", body=EMPTY_CHUNKS),
    "a vertical tab before chunked": posted(b"transfer-encoding:\x0bchunked", body=EMPTY_CHUNKS),
    **{
        f"transfer-encoding {value!r}": posted(b"transfer-encoding: " + value, body=EMPTY_CHUNKS)
        for value in (
            b"identity",
            b"chunked, identity",
            b"identity, chunked",
            b"gzip, chunked",
            b"chunked, chunked",
            b"chunked,",
            b",chunked",
            b"xchunked",
            b'"chunked"',
            b"chunked;a",
            b"chunked\x00",
            b"",
        )
    },
    "transfer-encoding twice": posted(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=EMPTY_CHUNKS),
    "transfer-encoding twice, once unknown": posted(b"transfer-encoding: chunked", b"transfer-encoding: cow", body=EMPTY_CHUNKS),
    "chunks in HTTP/1.0": posted(b"transfer-encoding: chunked", body=EMPTY_CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # Lengths.
    "two lengths": posted(b"content-length: 2", b"content-length: 51", body=b"{}" + SMUGGLED),
    "the same length twice": posted(b"content-length: 2", b"content-length: 2", body=b"{}" + SMUGGLED),
    "a length that goes on on the next line": posted(b"content-length: 2\r\n 0", body=b"{}" + SMUGGLED),
    "a space before the colon of a length": posted(b"content-length : 2", body=b"{}" + SMUGGLED),
    **{
        f"length {value!r}": posted(b"content-length: " + value, body=b"{}" + SMUGGLED)
        for value in (b"2, 2", b"+2", b"-2", b"0x2", b"2 0", b"", b"2.0", b"9" * 23, b"\xb2")
    },
    # Chunks.
    **{
        f"chunk {chunk!r}": CHUNKED + chunk + b"\r\n0\r\n\r\n" + SMUGGLED
        for chunk in (
            b"0x2\r\n{}",
            b"-2\r\n{}",
            b"+2\r\n{}",
            b"2_0\r\n{}",
            b"f" * 17 + b"\r\n{}",
            b"10000000000000002\r\n{}",
            b"2\n{}",
            b" 2\r\n{}",
            b"2;a\nxx\r\n{}",
            b"2;a\rb\r\n{}",
            b"zz\r\n{}",
            b"\r\n{}",
        )
    },
    "a chunk without an end": CHUNKED + b"2\r\n{}0\r\n\r\n" + SMUGGLED,
    "a chunk with something before its end": CHUNKED + b"2\r\n{} \r\n0\r\n\r\n" + SMUGGLED,
    "a chunk that ends with a line feed": CHUNKED + b"2\r\n{}\n0\r\n\r\n" + SMUGGLED,
    "a last chunk that ends with a line feed": CHUNKED + b"2\r\n{}\r\n0\n\n" + SMUGGLED,
    # Headers.
    "a space before a colon": got(b"x : a"),
    "a space before the first header": got(host=b" host: model\r\n"),
    "line feeds before carriage returns": got(b"x: a").replace(b"\r\n", b"\n\r"),
    "a header without a colon": got(b"nothing"),
    "a header without a name": got(b": a"),
    **{f"a header called {name!r}": got(name + b": a") for name in (b"x\x01", b"x(y)", b"x\xff", b"x y", b"x\x00")},
    "a header with a zero in it": got(b"x: a\x00b"),
    "a host that is a path": got(host=b"host: a/b\r\n"),
    "a host with a space": got(host=b"host: a b\r\n"),
    "no host": got(host=b""),
    "a host that is taken away again": posted(b"connection: host", b"content-length: 2", body=b"{}"),
    # The first line.
    "three words": got(line=b"GET /v1/models extra HTTP/1.1"),
    "no version": b"GET /v1/models\r\n\r\n",
    "no space before the version": got(line=b"GET /v1/modelsHTTP/1.1"),
    **{
        f"version {version.decode()}": got(line=b"GET /v1/models HTTP/" + version)
        for version in (b"1.2", b"1.10", b"01.1", b"1.1x", b"2.0")
    },
    "a version in small letters": got(line=b"GET /v1/models http/1.1"),
    "a method in small letters": got(line=b"get /v1/models HTTP/1.1"),
    "a method that nobody knows": got(line=b"SMUGGLE /v1/models HTTP/1.1"),
    "a method with a control character": got(line=b"G\x01T /v1/models HTTP/1.1"),
    "a path of other than ASCII": got(line=b"GET /v1/models\xff HTTP/1.1"),
    # Other protocols.
    "a WebSocket": got(b"connection: Upgrade", b"upgrade: websocket"),
    "HTTP/2 among others to upgrade to": got(b"connection: Upgrade", b"upgrade: websocket, h2c"),
    "an upgrade to TLS": got(b"connection: Upgrade", b"upgrade: TLS/1.0"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "the PROXY protocol": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + got(),
}

WITH_BODY = posted(b"content-length: 2", body=b"{}")
LINE = b"POST /v1/completions HTTP/1.1"
TRAILERS = b"2\r\n{}\r\n0\r\n"
# Sloppy rather than ambiguous: whoever reads them, it is one request. The engine gets it as Envoy writes it.
ONE_REQUEST = {
    # Chunks.
    "chunks with a tab before": posted(b"transfer-encoding:\tchunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks with a space behind": posted(b"transfer-encoding: chunked ", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks on a folded line": posted(b"transfer-encoding:\r\n chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks in capitals": posted(b"transfer-encoding: CHUNKED", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks that are to be taken away": posted(
        b"connection: transfer-encoding", b"transfer-encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "a chunk with an extension": CHUNKED + b"2;a=b\r\n{}\r\n0\r\n\r\n",
    "a chunk with an extension in quotes that never end": CHUNKED + b'2;a="\r\n{}\r\n0\r\n\r\n',
    "a chunk with a long extension": CHUNKED + b"2;" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n",
    "chunks with zeros in front": CHUNKED + b"0000000002\r\n{}\r\n0\r\n\r\n",
    "chunks with a space behind their size": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "a line feed at the end of it all": CHUNKED + b"2\r\n{}\r\n0\r\n\n",
    # Trailers, of which none goes on.
    "trailers": CHUNKED + TRAILERS + b"authorization: x\r\nx-fairlead-subject: root\r\n\r\n",
    "trailers that say how long it is": CHUNKED + TRAILERS + b"transfer-encoding: chunked\r\ncontent-length: 99\r\n\r\n",
    "trailers on folded lines": CHUNKED + TRAILERS + b"x: a\r\n b\r\n\r\n",
    "many trailers": CHUNKED + TRAILERS + b"".join(b"x-%d: a\r\n" % number for number in range(200)) + b"\r\n",
    # Headers.
    "a length that is to be taken away": posted(b"connection: content-length", b"content-length: 2", body=b"{}"),
    "names that only look like those that say how long it is": posted(
        b"x-forwarded-transfer-encoding: chunked", b"x-forwarded-content-length: 99", b"content-length: 2", body=b"{}"
    ),
    "lines that end with a line feed": posted(b"content-length: 2").replace(b"\r\n", b"\n") + b"{}",
    "two hosts": posted(b"host: other", b"content-length: 2", body=b"{}"),
    "a host with a name before it": WITH_BODY.replace(HOST, b"host: root@model\r\n"),
    "two hosts in one": WITH_BODY.replace(HOST, b"host: model,other\r\n"),
    "an empty host": WITH_BODY.replace(HOST, b"host:\r\n"),
    # The first line.
    "an empty line first": b"\r\n\r\n" + WITH_BODY,
    "a line feed first": b"\n" + WITH_BODY,
    "two spaces": WITH_BODY.replace(LINE, b"POST  /v1/completions HTTP/1.1"),
    "tabs": WITH_BODY.replace(LINE, b"POST\t/v1/completions\tHTTP/1.1"),
    "another server's name": WITH_BODY.replace(LINE, b"POST http://other/v1/completions HTTP/1.1"),
    "another server's name in capitals, with a user's": WITH_BODY.replace(LINE, b"POST HTTP://a@OTHER/v1/completions HTTP/1.1"),
    # Other protocols.
    "an upgrade to HTTP/2": posted(
        b"connection: Upgrade, HTTP2-Settings",
        b"upgrade: h2c",
        b"http2-settings: AAMAAABkAAQAAP__",
        b"content-length: 2",
        body=b"{}",
    ),
    "an upgrade to HTTP/2 that leaves its settings to be passed on": posted(
        b"connection: Upgrade", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAAP__", b"content-length: 2", body=b"{}"
    ),
}
"""An upgrade to HTTP/2 is passed over: the answer is of HTTP/1, and nothing of it goes on to the engine."""
