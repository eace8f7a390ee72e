"""Owns: texts that somebody might take for SQL, for a mark or for a place: generated from the characters
and words that have a meaning anywhere between a client and a file."""

import random

CONTROLS = [chr(code) for code in range(1, 0x20)] + ["\x7f"]
PUNCTUATION = ["'", '"', "''", '""', "{", "}", "{}", "$", "$$", "$1", "$x$", "\\", "\\'", "--", "/*", "*/", ";", "%", "%s", "?", ":a", "#", "`", "&", "|", "<>", "[", "]", "(", ")", ",", "=", "~", "^", "@", "!"]
# DuckLake 1.0 replaces these in finished SQL.
PLACEHOLDERS = [
    "{COMMIT_MESSAGE}", "{AUTHOR}", "{COMMIT_EXTRA_INFO}", "{DATA_PATH}", "{SNAPSHOT_ID}", "{METADATA_CATALOG_NAME_LITERAL}",
    "{METADATA_CATALOG_NAME_IDENTIFIER}", "{METADATA_SCHEMA_NAME_LITERAL}", "{METADATA_SCHEMA_NAME_IDENTIFIER}", "{METADATA_CATALOG}",
    "{METADATA_PATH}", "{METADATA_SCHEMA_ESCAPED}", "{NEXT_FILE_ID}", "{NEXT_CATALOG_ID}", "{SCHEMA_VERSION}", "{TABLE_ID}",
    "{INLINED_TABLE_NAME}", "{CATALOG_NAME}", "{SCHEMA_NAME}", "{TABLE_NAME}",
]  # fmt: skip
LOOKALIKES = ["\u2019", "\u02bc", "\uff07", "\uff02", "\u2028", "\u200b", "\u202e", "\ufeff", "\u037e", "\ufe55", "\U0001f986", "\u0301", "\xa0", "\x85", "\u0130"]


def marks():
    """Texts in the form of the marks that a translator might put back later."""
    for inner in ("0:0", "0:1", "0:2", "1:1", "1", "2", "0:99", ""):
        for mark in "\x01\x02\x03\x04\x05\x06\x0e\x1a\x1f":
            yield mark + inner + mark
    yield "\x03"
    yield "\x03\x03"
    yield "\x040\x04"


def generated(seed, count, longest=6, without=""):
    """`count` texts of random pieces; the same for the same seed."""
    rng = random.Random(f"texts {seed}")
    pieces = CONTROLS * 2 + PUNCTUATION * 3 + PLACEHOLDERS + LOOKALIKES + ["a", "B", "0", " ", "é", "SELECT", "0:1", "16384"] * 3
    made = []
    while len(made) < count:
        text = "".join(rng.choice(pieces) for _ in range(rng.randint(1, longest)))
        if not set(text) & set(without):
            made.append(text)
    return made


def standard(seed=0):
    """A dozen and a half texts with everything in them."""
    return [
        "".join(CONTROLS),
        "".join(PUNCTUATION),
        "".join(PLACEHOLDERS),
        "".join(LOOKALIKES),
        "'; SELECT 1 --",
        "' || (SELECT 'x') || '",
        "$1$2{0}%s\\x03",
        "\x030:1\x03",
        "\x030:2\x03",
        "\x031:1\x03",
        "\x041259\x04",
        "\x01\x02\x05\x06",
        *generated(seed, 6),
    ]


def singles():
    """One text for each character and word."""
    return [*CONTROLS, *PUNCTUATION, *PLACEHOLDERS, *LOOKALIKES]


def shown(text):
    """A text as the name of a test."""
    return text.encode("unicode_escape").decode()[:40]
