"""Rows in the form of data sets of the hub, written by hand for these tests: none of them is from there."""

MATH = [
    {
        "problem": "What is $2 + 3$?", "level": "Level 1", "type": "Prealgebra",
        "solution": "We add: $2 + 3 = \\boxed{5}$.",
    },
    {
        "problem": "Solve $2x = 1$.", "level": "Level 2", "type": "Algebra",
        "solution": "Halving both sides, $x = \\boxed{\\frac{1}{2}}$.",
    },
    {
        "problem": "Factor $x^2 - 1$.", "level": "Level 10", "type": "Algebra",
        "solution": "It is a difference of squares: $\\boxed{(x - 1)(x + 1)}$.",
    },
]  # fmt: skip

_SEED = {
    "seed_question": "Ann has 3 pens and buys 4. How many has she?",
    "seed_solution": "She has 3 + 4 = <<3+4=7>>7 pens.\n#### 7",
    "seed_answer": "7",
}
GSM_PLUS = [
    {
        "question": "Ann has 13 pens and buys 40. How many has she?",
        "solution": "She has 13 + 40 = <<13+40=53>>53 pens.\n#### 53", "answer": "53",
        "perturbation_type": "digit expansion", **_SEED,
    },
    {
        "question": "Ann has 3.5 packs of pens and buys 4. How many packs has she?",
        "solution": "She has 3.5 + 4 = <<3.5+4=7.5>>7.5 packs.\n#### 7.5", "answer": "7.5",
        "perturbation_type": "integer-decimal-fraction conversion", **_SEED,
    },
    {
        "question": "Ann has some pens and buys 4. How many has she?",
        "solution": "We do not know how many pens Ann had.\n#### None", "answer": "None",
        "perturbation_type": "critical thinking", **_SEED,
    },
]  # fmt: skip

GSM_SYMBOLIC = [
    {
        "id": template, "instance": instance, "question": f"Bo has {had} pens and buys {more}. How many has he?",
        "answer": f"He has {had} + {more} = <<{had}+{more}={had + more}>>{had + more} pens.\n#### {had + more}",
        "original_id": 40 + template, "original_question": "Bo has 1 pen and buys 1. How many has he?",
        "original_answer": "He has 1 + 1 = <<1+1=2>>2 pens.\n#### 2", "canary": "none",
    }
    for template in (0, 1)
    for instance, (had, more) in enumerate([(3, 4), (12, 9)])
]  # fmt: skip
