"""The encoder's three properties, with every kind of tokenizer, on GSM8K and on every odd text."""

import json

import numpy as np
import pytest
from hypothesis import given

from rft_jax.data import prompt_format, special_tokens
from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem, read_problems
from rft_jax.task.template import Piece, text_of
from rft_jax.task.templates.chat import Chat
from rft_jax.task.templates.jinja import Jinja
from rft_jax.task.templates.paper import Paper
from rft_jax.task.templates.shots import Shots
from tests.data.byte_tokenizers import BEGIN, END, byte_tokenizer
from tests.odd_texts import fixed_odd_texts, odd_texts
from tests.shared_data import shared

TEMPLATES = [
    Paper(),
    Chat(),
    Chat("Think step by step."),
    Shots((("1+1?", "2"),)),
    Jinja("{{ bos_token or '' }}Q: {{ question }}\nA:"),
]


def encoder_of(sample, template=TEMPLATES[0]):
    """Returns an encoder as training makes it, or skips."""
    tokenizer = sample.tokenizer
    if not takes(tokenizer, template):
        pytest.skip("has no chat template, or none with a turn of the system")
    end = special_tokens.stop_tokens(sample.folder, tokenizer, template).trained
    begin = special_tokens.bos_tokens(tokenizer, template)
    return Encoder(tokenizer, template, bos_tokens=begin, eos_token=end, vocabulary=len(tokenizer))


def takes(tokenizer, template):
    """Tells whether the tokenizer can be asked by a template."""
    own = tokenizer.chat_template or ""
    return not isinstance(template, Chat) or (own and not (template.system and "raise_exception" in own))


def check(encoder, problems):
    """Asserts the properties of the examples of problems."""
    examples, prompts = encoder.examples(problems, "f"), encoder.prompts(problems, "f")
    for example, prompt in zip(examples, prompts, strict=True):
        before, behind = np.split(example.tokens, [example.loss_from])
        assert before.tolist() == prompt.tolist()
        assert behind[-1] == encoder.eos_token
        assert len(behind) > 1
    # In their place behind the whole prompt, by transformers' own decoding; and as sampling decodes them.
    bodies = [example.tokens[:-1].tolist() for example in examples]
    wholes, firsts = (
        encoder.tokenizer.batch_decode(rows, clean_up_tokenization_spaces=False)
        for rows in (bodies, [ids.tolist() for ids in prompts])
    )
    responses = [problem.response for problem in problems]
    assert wholes == [first + response for first, response in zip(firsts, responses, strict=True)]
    behind = [ids[example.loss_from :] for ids, example in zip(bodies, examples, strict=True)]
    assert encoder.texts(behind) == responses


@pytest.mark.parametrize("rows", [300, pytest.param(None, marks=pytest.mark.slow)])
def test_gsm8k(sample_tokenizer, rows):
    encoder = encoder_of(sample_tokenizer)
    if sample_tokenizer.name == "wordpiece":
        pytest.skip("loses case and spaces, so every row is refused")
    check(encoder, read_problems(shared("data/gsm8k/train.jsonl"))[:rows])


def refusal(encoder, problem):
    """Returns why a row is refused, None if it is not."""
    try:
        encoder.examples([problem], "f")
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.describe()["kind"])
def test_odd_texts(sample_tokenizer, template):
    """What the tokenizer keeps is trained on; what it does not keep is refused, or else has the properties as well."""
    encoder = encoder_of(sample_tokenizer, template)
    for text in fixed_odd_texts(300):
        problem = Problem("How many?", text)
        reason = refusal(encoder, problem)
        if reason is None:
            check(encoder, [problem])
        else:
            assert reason.startswith("f:1: ")
            assert not sample_tokenizer.keeps(text) or not text.strip() or "half a character" in reason
    for question in fixed_odd_texts(100) if sample_tokenizer.keeps("So 5.") else ():
        problem = Problem(question, "So 5.")
        reason = refusal(encoder, problem)
        if reason is None:
            check(encoder, [problem])
        else:
            assert "half a character" in reason or (isinstance(template, Jinja) and "special token" in reason)


@given(odd_texts(), odd_texts())
def test_any_text(question, response):
    encoder = Encoder(
        byte_tokenizer([(":", "T"), ("Ċ", "Ċ")]), Paper(), bos_tokens=(BEGIN,), eos_token=END, vocabulary=300
    )
    if response.strip() and not any("\ud800" <= letter <= "\udfff" for letter in question + response):
        check(encoder, [Problem(question, response)])
    else:
        with pytest.raises(UserError, match="f:1: "):
            encoder.examples([Problem(question, response)], "f")


def test_special_tokens_written_as_text_are_text(sample_tokenizer):
    tokenizer = sample_tokenizer.tokenizer
    if sample_tokenizer.name == "wordpiece":
        pytest.skip("loses spaces, so every row is refused")
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    for template in (Paper(), Chat()):
        if not takes(tokenizer, template):
            continue
        encoder = encoder_of(sample_tokenizer, template)
        plain = encoder.prompts([Problem("What is  it?", "")], "f")[0]
        for text in special[:12]:
            problem = Problem(f"What is {text} it?", f"It is {text}.\n#### 5{text}")
            check(encoder, [problem])
            number = tokenizer.convert_tokens_to_ids(text)
            (example,) = encoder.examples([problem], "f")
            assert list(example.tokens[: example.loss_from]).count(number) == list(plain).count(number)
            assert number not in example.tokens[example.loss_from : -1]


def test_a_special_token_written_as_text_changes_no_other_token(sample_tokenizer):
    """What is around it is tokenised as around any other text."""
    tokenizer = sample_tokenizer.tokenizer
    for template in (Chat(), Chat("Be good.")):
        if not takes(tokenizer, template):
            continue
        encoder = encoder_of(sample_tokenizer, template)
        for question in ("What is  it?", "So\n5", "½ of :The", "x"):
            (piece,) = template.prompt(Problem(question, ""), tokenizer)
            before, _, behind = piece.text.rpartition(question)
            apart = [Piece(before, control=True), Piece(question, control=False), Piece(behind, control=True)]
            assert encoder._encode_apart(apart) == encoder._encode([[piece]])[0]


def test_messages_ask_exactly_as_training_did(sample_tokenizer):
    tokenizer = sample_tokenizer.tokenizer
    for template in TEMPLATES:
        if not takes(tokenizer, template):
            continue
        encoder = encoder_of(sample_tokenizer, template)
        before = tokenizer.chat_template
        written = prompt_format.chat_template(encoder)
        assert tokenizer.chat_template == before
        for question in ("How many apples?", "Is 3 < 5? “Yes”\n\n  or no", "x"):
            messages = [{"role": "user", "content": question}]
            ids = tokenizer.apply_chat_template(
                messages, chat_template=written, add_generation_prompt=True, return_dict=False
            )
            assert ids == encoder.prompts([Problem(question, "")], "f")[0].tolist()


def test_a_selected_set_asks_each_question_once():
    class Counting(Shots):
        asked = 0

        def prompt(self, problem, tokenizer):
            Counting.asked += 1
            return super().prompt(problem, tokenizer)

    encoder = Encoder(byte_tokenizer(), Counting(()), bos_tokens=(BEGIN,), eos_token=END, vocabulary=300)
    prompts = encoder.prompts([Problem("a", "1"), Problem("b", "2"), Problem("a", "3")], "f")
    assert Counting.asked == 2
    assert prompts[0].tolist() == prompts[2].tolist() != prompts[1].tolist()


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Problem("a", " \n"), "f:7: the response is empty"),
        (Problem("a", "half \ud83d"), "f:7: the response has half a character"),
        (Problem("half \ude00", "b"), "f:7: the question has half a character"),
        (Problem("a", "b", (("user", "c"),)), "f:7: the data have several turns"),
        (Problem("a", "b\n\nQuestion: c"), r"f:7: the response goes on at '\\n\\nQuestion:'"),
    ],
)
def test_a_row_that_cannot_be_is_named(problem, message):
    encoder = Encoder(byte_tokenizer(), Shots(()), bos_tokens=(BEGIN,), eos_token=END, vocabulary=300)
    with pytest.raises(UserError, match=message):
        encoder.examples([Problem("fine", "fine"), problem], "f", [3, 7])


def test_tokens_beyond_the_vocabulary_are_refused():
    tokenizer = byte_tokenizer()
    for begin, end in (((999,), END), ((BEGIN,), 999), ((-1,), END)):
        with pytest.raises(UserError, match="is no token of the model"):
            Encoder(tokenizer, Paper(), bos_tokens=begin, eos_token=end, vocabulary=259)
    small = Encoder(tokenizer, Paper(), bos_tokens=(BEGIN,), eos_token=END, vocabulary=200)
    with pytest.raises(UserError, match=r"f:1: the tokenizer makes the token \d+, the model's last one is 199"):
        small.prompts([Problem("é", "")], "f")


def test_the_prompt_is_what_the_template_says():
    encoder = Encoder(byte_tokenizer(), Paper(), bos_tokens=(BEGIN,), eos_token=END, vocabulary=300)
    problem = Problem("How many?", "3")
    text = text_of(Paper().prompt(problem, None))
    assert encoder.tokenizer.decode(encoder.prompts([problem], "f")[0]) == f"<s>{text}"


@pytest.mark.parametrize(
    ("config", "generation", "tokenizer", "expected"),
    [
        ({"eos_token_id": 2}, {"eos_token_id": 2}, 2, (2, (2,))),
        ({"eos_token_id": 0}, {"eos_token_id": [0, 2]}, 2, (2, (0, 2))),  # CASES A5
        ({"eos_token_id": 2}, {"eos_token_id": 5}, 2, "generation_config.json says 5, config.json 2, the tokenizer 2"),
        ({"eos_token_id": [1, 2]}, {}, 2, (2, (1, 2))),
        ({"eos_token_id": 5}, {}, 2, "config.json 5, the tokenizer 2"),
        ({}, {}, 2, (2, (2,))),  # the tokenizer alone knows
        ({"eos_token_id": 2}, {}, None, (2, (2,))),
        ({}, {}, None, "names no eos token"),
        ({"eos_token_id": "two"}, {}, 2, 'eos_token_id is \\["two"\\], not a token'),
        ({"eos_token_id": True}, {}, 2, "not a token"),
    ],
)
def test_one_rule_for_the_end(tmp_path, config, generation, tokenizer, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    loaded = byte_tokenizer()
    loaded.eos_token = None if tokenizer is None else loaded.convert_ids_to_tokens(tokenizer)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            special_tokens.stop_tokens(tmp_path, loaded, Paper())
    else:
        found = special_tokens.stop_tokens(tmp_path, loaded, Paper())
        assert (found.trained, found.sampled) == expected


@pytest.mark.parametrize(("adds_begin", "adds_end"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_begin_token_is_what_the_tokenizer_adds_and_the_end_token_is_no_part_of_a_prompt(adds_begin, adds_end):
    tokenizer = byte_tokenizer(adds_begin=adds_begin, adds_end=adds_end)
    assert special_tokens.bos_tokens(tokenizer, Paper()) == ((BEGIN,) if adds_begin else ())
    assert special_tokens.bos_tokens(tokenizer, Chat()) == ()
