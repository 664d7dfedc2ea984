"""The words that change what a number beside them means; all in lower case, letters alone excepted."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They multiply the number before them.
SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "crore": 10**7,
    "dozen": 12,
}
SCALES |= {f"{word}s": value for word, value in SCALES.items()}
SCALES |= {"mn": 10**6, "mln": 10**6, "bn": 10**9, "tn": 10**12}
# Only at once behind the number: 2k, $3M. Without a currency `3M` may be anything, and `3m` is three metres.
LETTER_SCALES = {"k": 10**3, "K": 10**3}
MONEY_SCALES = LETTER_SCALES | {"m": 10**6, "M": 10**6, "b": 10**9, "B": 10**9}

# Quantities in words: "half of 18", "1 hour thirty minutes".
CARDINALS = (
    _words(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety half halves quarter
        quarters 半"""
    )
    | SCALES.keys()
)
# Behind a number these are parts: "2 thirds", "5 hundredths". ("Second" is a unit of time.)
_PARTS = _words("third fourth fifth sixth seventh eighth ninth tenth hundredth thousandth millionth")
# These multiply, by what not everybody agrees on.
_UNSURE_SCALES = _words("mil mils score gross millionen millones milliard milliards milliarden tausend")
QUANTITIES = CARDINALS | _PARTS | {f"{part}s" for part in _PARTS} | _UNSURE_SCALES
ORDINAL_ENDINGS = _words("st nd rd th ths")
MONTHS = _words(
    """january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec"""
)

# What stands before these does not matter to the number behind them.
COPULAS = _words("is are was were be equals equal :")
NEGATIONS = _words("not no never neither nor without cannot isn't aren't wasn't weren't don't doesn't can't")
# Directly before the number: bounds, operations, names of things with numbers.
CHANGES_BEFORE = _words(
    """and or than least most between from half twice thrice double triple by over under above below beyond exceeds
    times plus minus per within root sqrt cube squared log ln sin cos tan exp version v chapter page"""
)
# With "of" directly before the number: "the square root of 16".
CHANGES_WITH_OF = _words(
    "root square cube half third quarter fourth double twice triple multiple factor power log % out"
)
# Directly behind the number.
CHANGES_BEHIND = _words(
    """to and or plus minus divided multiplied over mod modulo by squared cubed factorial choose point through thru
    until till x pi"""
)
# A letter alone behind a number is a unit, or else a variable (5x, 3i).
UNIT_LETTERS = frozenset("mgshlLVWCFNJtdpcR")
