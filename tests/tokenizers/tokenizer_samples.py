"""A small vocabulary and texts that tokenisers stumble over."""

import string

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
    the cat sat on mat a an is was not do don what where who name question answer long short house river light dark
    run walk paris france berlin new york city love hate film good bad very un believ able token word text one two
    three red green blue 東 京 中 文 字 か な жизнь мир سلام שלום नमस्ते café cafe naive über uber ss
""".split()  # noqa: SIM905 - a list of words reads better as text
PIECES = "##s ##ed ##ing ##ly ##er ##est ##tion ##able ##believ ##ness ##ful ##in ##on ##at ##th".split()  # noqa: SIM905


def vocabulary() -> list[str]:
    """About 300 entries: special tokens, signs, letters, their continuations, words."""
    letters = list(string.ascii_lowercase + string.digits)
    upper = list(string.ascii_uppercase) + ["The", "Cat", "Paris"]
    entries = [*SPECIAL, *string.punctuation, *letters, *[f"##{c}" for c in letters], *upper, *WORDS, *PIECES, "“", "€"]
    return list(dict.fromkeys(entries))


HOSTILE = [
    "",
    " ",
    " \t\r\n ",
    "The cat sat on the mat.",
    "e\u0301 cafe\u0301 café nai\u0308ve",  # combining marks beside composed letters
    "a\u0300\u0301\u0302\u0303b",  # several marks on one letter
    "\u0301\u0302",  # marks without a letter
    "👩‍👩‍👧‍👦 family 👍🏽 flag 🇫🇷",  # joined emoji, skin tone, regional indicators
    "שלום עולם and سلام دنیا",  # right to left
    "\u202eright\u202c to \u200fleft",
    "東京 is 中文字 and かな",
    "𠀀𪜶 beyond the basic plane 𝒜𝓑",
    "한국어 조합 \u1112\u1161\u11ab",  # Hangul, composed and decomposed
    "control \x01\x02\x1f\x7f\x9f chars",
    "nul \x00 inside",
    "line\r\nbreak\rand\u2028separators\u2029end",
    "no\u00a0break\u202fspaces\u3000wide\u200bzero\ufeffbom",
    "soft\u00adhyphen",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101,  # around the longest word
    "believable" * 500,
    "[MASK] the [MASK]. [CLS][SEP] [mask] [MASK ]x[PAD]",
    "[UNK] ## ##s un##able",
    "İstanbul ſharp ẞ ﬁ ligature Ǆ",  # letters whose lower case is longer or different
    "٣٤٥ ४५ Ⅷ ½ ²",
    "don't won't o'clock ‘quoted’ “text” — dash… €5",
    "a.b,c;d:e!f?g(h)i[j]k{l}m<n>o/p\\q|r~s`t^u_v-w+x=y*z&%$#@",
    "\ufffd replacement \ufffe \U0010ffff",
    "नमस्ते किं",  # vowel signs are marks
    "ﷺ \ufdfa",  # one letter that decomposes into eighteen
    "tab\tseparated\tvalues  double  spaces ",
]
PAIRS = [
    ("where is the cat", "the cat sat on the mat and was very good"),
    ("", "the"),
    ("the", ""),
    ("a very long question about a cat", "short"),
    ("", ""),
]
WORD_LISTS = [["the", "cat", "sat"], [], ["café", "", " ", "un believable"], ["[MASK]", "東京", "x\x00y"], ["a", "b"]]
